using System.Net;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Relay.Gateway.Grid;
using Relay.Gateway.WireGuard.Decisions;
using Relay.Protocol.Grid;
using Relay.Protocol.WireGuard;

namespace Relay.Gateway.Devices;

/// <summary>
/// The devices of the grid as the silos tell of them: from the best silo that answers, and from another one, all anew, when that stops to. While no
/// silo tells, devices stay for <see cref="Outlives"/>: their tunnels carry nothing that a silo does not decide about.
/// </summary>
internal sealed partial class GridDevices(SiloPool silos, TimeProvider time, ILogger<GridDevices> logger) : IDevices
{
    /// <summary>How long devices are kept without a silo that tells of them. Long enough for a restart of all silos: devices then need no new handshake.</summary>
    public static readonly TimeSpan Outlives = TimeSpan.FromMinutes(10);

    // As many as places in the largest range that makes sense.
    private const int MaxDevices = 1 << 20;
    private const int SlowestRetryMilliseconds = 3000;

    private long _heard;
    private int _streams;

    /// <summary>Complete lists received so far: one for each stream that was opened.</summary>
    public int Streams => Volatile.Read(ref _streams);

    public async IAsyncEnumerable<DevicesChange> WatchAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        // Whoever applies changes slowly slows down the silo's stream.
        var changes = Channel.CreateBounded<DevicesChange>(8);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var following = FollowAsync(changes.Writer, stop.Token);
        try
        {
            await foreach (var change in changes.Reader.ReadAllAsync(cancellationToken))
            {
                yield return change;
            }
        }
        finally
        {
            await stop.CancelAsync();
            await following;
        }
    }

    private async Task FollowAsync(ChannelWriter<DevicesChange> changes, CancellationToken cancellationToken)
    {
        Volatile.Write(ref _heard, time.GetTimestamp());
        var failures = 0;
        var hasDevices = false;
        try
        {
            while (true)
            {
                foreach (var (silo, down) in silos.Answering())
                {
                    var before = Streams;
                    await ReadAsync(silo, changes, down, cancellationToken);
                    if (Streams != before)
                    {
                        // It told of devices for a while: the best silo now may be another one.
                        (hasDevices, failures) = (true, 0);
                        break;
                    }
                }

                if (hasDevices && time.GetElapsedTime(Volatile.Read(ref _heard)) >= Outlives)
                {
                    LogForgotten(logger, Outlives.TotalMinutes);
                    await changes.WriteAsync(new DevicesChange(IsComplete: true, [], []), cancellationToken);
                    hasDevices = false;
                }

                // Full jitter: after a silo's restart not all gateways come back at once.
                var ceiling = Math.Min(SlowestRetryMilliseconds, 100 << Math.Min(failures++, 5));
                await Task.Delay(TimeSpan.FromMilliseconds(Random.Shared.Next(20, ceiling)), time, cancellationToken);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            changes.TryComplete();
        }
        catch (Exception e)
        {
            changes.TryComplete(e);
        }
    }

    // Until its stream ends, however it does.
    private async Task ReadAsync(SiloLink silo, ChannelWriter<DevicesChange> changes, CancellationToken down, CancellationToken cancellationToken)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(down, cancellationToken);
        List<UserDevice>? pages = [];
        try
        {
            await new DeviceStream(silo, time).RunAsync(() => Volatile.Write(ref _heard, time.GetTimestamp()), HandleAsync, either.Token);
            LogEnded(logger, silo.Address, "the silo has ended it");
        }
        catch (GridException e)
        {
            LogEnded(logger, silo.Address, e.Message);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            LogEnded(logger, silo.Address, "the silo stopped answering");
        }

        async ValueTask HandleAsync(DevicesMessage message)
        {
            var present = Read(message.Present ?? []);
            switch (message.Type)
            {
                case "device_page" or "devices_complete" when pages is not null:
                    pages.AddRange(present);
                    if (pages.Count > MaxDevices)
                    {
                        throw new GridException("The silo tells of more devices than there can be.", null, "protocol");
                    }

                    if (message.Type == "devices_complete")
                    {
                        LogComplete(logger, silo.Address, pages.Count);
                        await changes.WriteAsync(new DevicesChange(IsComplete: true, pages, []), either.Token);
                        pages = null;
                        Interlocked.Increment(ref _streams);
                    }

                    break;
                case "devices_changed" when pages is null:
                    await changes.WriteAsync(new DevicesChange(IsComplete: false, present, message.Removed ?? []), either.Token);
                    break;
                case "device_page" or "devices_complete" or "devices_changed":
                    throw new GridException("The silo tells of devices in an order that makes no sense.", null, "protocol");
            }
        }
    }

    private List<UserDevice> Read(IReadOnlyList<GridDevice> devices)
    {
        var read = new List<UserDevice>(devices.Count);
        foreach (var device in devices)
        {
            var preshared = Array.Empty<byte>();
            if (!WireGuardPublicKey.TryParse(device.PublicKey, out var key) || (device.PresharedKey is { } text && !TryKey(text, out preshared)))
            {
                LogUnreadable(logger, device.DeviceId);
                continue;
            }

            read.Add(new UserDevice
            {
                Id = device.DeviceId,
                UserId = device.UserId,
                PublicKey = key,
                Addresses = [.. (device.Addresses ?? []).Select(a => IPAddress.TryParse(a, out var address) ? address : null).OfType<IPAddress>()],
                PresharedKey = preshared,
                LoginValidUntil = device.LoginValidUntil ?? DateTimeOffset.MaxValue,
            });
        }

        return read;
    }

    // A preshared key has the form of a public one.
    private static bool TryKey(string text, out byte[] bytes)
    {
        bytes = new byte[WireGuardPublicKey.Length];
        if (!WireGuardPublicKey.TryParse(text, out var key))
        {
            return false;
        }

        key.CopyTo(bytes);
        return true;
    }

    [LoggerMessage(EventId = 3421, Level = LogLevel.Information, Message = "devices are told of by a silo")]
    private static partial void LogComplete(ILogger logger, string silo, int devices);

    [LoggerMessage(EventId = 3422, Level = LogLevel.Information, Message = "a silo tells of devices no more")]
    private static partial void LogEnded(ILogger logger, string silo, string reason);

    [LoggerMessage(EventId = 3423, Level = LogLevel.Warning, Message = "no silo has told of devices for {Minutes} minutes: there are none until one does")]
    private static partial void LogForgotten(ILogger logger, double minutes);

    [LoggerMessage(EventId = 3424, Level = LogLevel.Error, Message = "what the silo says of device {DeviceId} can not be read: it has no tunnel here")]
    private static partial void LogUnreadable(ILogger logger, Guid deviceId);
}
