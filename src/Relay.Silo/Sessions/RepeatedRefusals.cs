namespace Relay.Silo.Sessions;

/// <summary>
/// Which refusals of devices are worth a row. A program on a device knocks as often as it likes, without anybody at a keyboard: what is refused for the
/// same reason is on record once in <see cref="Window"/>, and of one device at most <see cref="PerDevice"/> different refusals in that time, on each silo.
/// Safe for concurrent use.
/// </summary>
internal sealed class RepeatedRefusals(TimeProvider time)
{
    public static readonly TimeSpan Window = TimeSpan.FromMinutes(10);

    /// <summary>A scan of all sockets' addresses is plain to see in so many.</summary>
    public const int PerDevice = 50;

    // Some 10 MB when all of them are full; beyond it those that were first are forgotten, and written again.
    private const int MaxDevices = 2048;

    private readonly Lock _lock = new();
    private readonly Dictionary<string, Device> _devices = new(StringComparer.Ordinal);
    private readonly Queue<(string Device, long Since)> _order = new();

    /// <summary>True: to be written, under that id.</summary>
    /// <param name="device">Who was refused.</param>
    /// <param name="what">Destination, reason and version of the organization.</param>
    /// <param name="decisionId">Of this decision.</param>
    /// <param name="former">The decision that is on record for it; <paramref name="decisionId"/> itself where there is none, because it is new or there were too many.</param>
    public bool IsNew(string device, (string Socket, string Reason, long Version) what, Guid decisionId, out Guid former)
    {
        former = decisionId;
        lock (_lock)
        {
            Forget();
            if (!_devices.TryGetValue(device, out var known))
            {
                _devices[device] = known = new Device();
                _order.Enqueue((device, time.GetTimestamp()));
            }

            if (known.TryGetValue(what, out var first))
            {
                former = first;
                return false;
            }

            if (known.Count >= PerDevice)
                return false;
            known[what] = decisionId;
            return true;
        }
    }

    private void Forget()
    {
        while (_order.TryPeek(out var oldest) && (_order.Count >= MaxDevices || time.GetElapsedTime(oldest.Since) >= Window))
            _devices.Remove(_order.Dequeue().Device);
    }

    private sealed class Device : Dictionary<(string Socket, string Reason, long Version), Guid>;
}
