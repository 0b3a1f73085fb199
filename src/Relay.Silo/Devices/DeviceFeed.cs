using System.Security.Cryptography;
using System.Text.Json;
using System.Threading.Channels;
using Relay.Protocol.Grid;
using Relay.Silo.Secrets;
using Relay.Silo.Snapshots;

namespace Relay.Silo.Devices;

/// <summary>
/// What gateways are told of devices: the lines of <see cref="GridRoutes.Devices"/>, written once whoever reads them. A gateway that falls behind by a
/// whole queue loses its stream and asks for everything again. Safe for concurrent use.
/// </summary>
internal sealed partial class DeviceFeed(SnapshotCell snapshots, SecretVault vault, ILogger<DeviceFeed> logger) : ISnapshotObserver
{
    // A device takes some 450 bytes, an id 39: lines stay below the 64 KiB that a gateway reads.
    private const int DevicesPerLine = 128;
    private const int RemovedPerLine = 1000;

    private readonly Lock _lock = new();
    private readonly Dictionary<Guid, Dictionary<Guid, (OrgDevice Row, GridDevice Told)>> _organizations = [];
    private readonly HashSet<Subscription> _subscriptions = [];
    private IReadOnlyList<byte[]>? _complete;

    public IReadOnlyList<Task> OnSwapped(Guid organizationId, OrgSnapshot? snapshot)
    {
        lock (_lock)
            Take(organizationId, snapshot);
        return [];
    }

    /// <summary>All devices, and a queue for what changes from then on; dispose ends it.</summary>
    public Subscription Subscribe(string gateway)
    {
        lock (_lock)
        {
            // What a silo that was started without the store decides by was never swapped in.
            foreach (var snapshot in snapshots.All.Where(s => !_organizations.ContainsKey(s.OrganizationId)))
                Take(snapshot.OrganizationId, snapshot);
            _complete ??= Complete([.. _organizations.Values.SelectMany(o => o.Values).Select(d => d.Told)]);
            var subscription = new Subscription(this, gateway, _complete);
            _subscriptions.Add(subscription);
            return subscription;
        }
    }

    /// <summary>Ends the streams of a gateway that may not act any more.</summary>
    public void Close(string gateway)
    {
        lock (_lock)
        {
            foreach (var subscription in _subscriptions.Where(s => s.Gateway == gateway))
                subscription.Close();
        }
    }

    // Under the lock. What is as it was is neither opened nor told again.
    private void Take(Guid organizationId, OrgSnapshot? snapshot)
    {
        var former = _organizations.GetValueOrDefault(organizationId) ?? [];
        var now = new Dictionary<Guid, (OrgDevice Row, GridDevice Told)>();
        var changed = new List<GridDevice>();
        foreach (var row in snapshot?.Devices.Values ?? [])
        {
            if (former.TryGetValue(row.Id, out var known) && IsSame(known.Row, row))
            {
                now[row.Id] = known;
            }
            else if (TryTell(row, out var told))
            {
                now[row.Id] = (row, told);
                changed.Add(told);
            }
        }

        var removed = former.Keys.Where(id => !now.ContainsKey(id)).ToArray();
        if (snapshot is null)
            _organizations.Remove(organizationId);
        else
            _organizations[organizationId] = now;
        if (changed.Count == 0 && removed.Length == 0)
            return;
        _complete = null;
        if (_subscriptions.Count == 0)
            return;
        // First who is gone: its key or address may be another one's now.
        foreach (var ids in removed.Chunk(RemovedPerLine))
            Offer(Line(new DevicesMessage("devices_changed", null, ids)));
        foreach (var devices in changed.Chunk(DevicesPerLine))
            Offer(Line(new DevicesMessage("devices_changed", devices)));
    }

    private void Offer(byte[] line)
    {
        foreach (var subscription in _subscriptions)
            subscription.Offer(line);
    }

    private bool TryTell(OrgDevice row, out GridDevice told)
    {
        string? preshared = null;
        told = null!;
        if (row.SealedPresharedKey is { } value)
        {
            try
            {
                var key = vault.Open(SecretPlace.DevicePresharedKey(row.Id), value);
                preshared = Convert.ToBase64String(key);
                CryptographicOperations.ZeroMemory(key);
            }
            catch (SecretException e)
            {
                // Without it the device could not agree on anything.
                LogUnreadable(logger, row.Id, e.Message);
                return false;
            }
        }

        told = new GridDevice(row.Id, row.UserId, row.PublicKey, [.. row.Addresses.Select(a => a.ToString())], preshared, row.LoginValidUntil);
        return true;
    }

    private static bool IsSame(OrgDevice a, OrgDevice b) =>
        a.UserId == b.UserId && a.PublicKey == b.PublicKey && a.LoginValidUntil == b.LoginValidUntil && a.Addresses.SequenceEqual(b.Addresses)
        && (a.SealedPresharedKey ?? []).AsSpan().SequenceEqual(b.SealedPresharedKey ?? []);

    private static List<byte[]> Complete(GridDevice[] devices)
    {
        var pages = devices.Chunk(DevicesPerLine).ToArray();
        var lines = new List<byte[]>(pages.Length + 1);
        lines.AddRange(pages.SkipLast(1).Select(p => Line(new DevicesMessage("device_page", p))));
        lines.Add(Line(new DevicesMessage("devices_complete", pages.LastOrDefault() ?? [])));
        return lines;
    }

    private static byte[] Line(DevicesMessage message)
    {
        var line = JsonSerializer.SerializeToUtf8Bytes(message, GridJson.Default.DevicesMessage);
        Array.Resize(ref line, line.Length + 1);
        line[^1] = (byte)'\n';
        return line;
    }

    private void Remove(Subscription subscription)
    {
        lock (_lock)
            _subscriptions.Remove(subscription);
    }

    [LoggerMessage(4721, LogLevel.Error, "device {DeviceId} has no tunnel: {Reason}")]
    private static partial void LogUnreadable(ILogger logger, Guid deviceId, string reason);

    /// <summary>One gateway's stream.</summary>
    /// <param name="complete">Lines of all devices there were when it began.</param>
    internal sealed class Subscription(DeviceFeed owner, string gateway, IReadOnlyList<byte[]> complete) : IDisposable
    {
        private const int QueueLength = 256;

        private readonly Channel<byte[]> _queue = Channel.CreateBounded<byte[]>(new BoundedChannelOptions(QueueLength) { SingleReader = true });

        public string Gateway => gateway;

        public IReadOnlyList<byte[]> Complete => complete;

        /// <summary>Completes when the queue overflowed: close the stream, the gateway asks again.</summary>
        public ChannelReader<byte[]> Changes => _queue.Reader;

        public void Offer(byte[] line)
        {
            if (!_queue.Writer.TryWrite(line))
                Close();
        }

        public void Close() => _queue.Writer.TryComplete();

        public void Dispose()
        {
            Close();
            owner.Remove(this);
        }
    }
}
