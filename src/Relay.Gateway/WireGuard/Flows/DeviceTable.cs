using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net;
using Microsoft.Extensions.Logging;
using Relay.Gateway.WireGuard.Decisions;
using Relay.Protocol.WireGuard;

namespace Relay.Gateway.WireGuard.Flows;

/// <summary>
/// The devices there are: keeps the protocol's peers as <see cref="IDevices"/> says. Changes come from one caller at a time; reading is safe for
/// concurrent use.
/// </summary>
internal sealed partial class DeviceTable(WireGuardDevice wireGuard, WireGuardOptions options, TunnelClock clock, ILogger logger)
{
    // Long enough, on a busy machine too, that the resets of its connections are encrypted and sent; the device can open nothing new meanwhile.
    private static readonly TimeSpan s_farewell = TimeSpan.FromMilliseconds(500);

    private const int PresharedKeyLength = 32;

    private readonly Dictionary<Guid, ActiveDevice> _devices = [];
    private readonly ConcurrentDictionary<IPAddress, ActiveDevice> _byAddress = new();

    /// <summary>The device with this address inside; null when it is nobody's.</summary>
    public ActiveDevice? Find(IPAddress address) => _byAddress.GetValueOrDefault(address);

    /// <summary>The device that is this peer.</summary>
    public static ActiveDevice Of(WireGuardPeer peer) => (ActiveDevice)peer.Owner!;

    /// <summary>Follows the source until cancelled.</summary>
    public async Task FollowAsync(IDevices source, CancellationToken cancellationToken)
    {
        try
        {
            await foreach (var change in source.WatchAsync(cancellationToken)) Apply(change);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Going down.
        }
        catch (Exception e)
        {
            // SECURITY: who is not told of changes any more lets nobody in.
            LogSourceFailed(logger, e);
            Apply(new DevicesChange(IsComplete: true, [], []));
        }
    }

    /// <summary>Ends all flows.</summary>
    public void EndFlows()
    {
        foreach (var device in _devices.Values.ToArray()) device.EndFlows();
    }

    private void Apply(DevicesChange change)
    {
        var removed = change.IsComplete ? _devices.Keys.Except(change.Present.Select(d => d.Id)).ToArray() : change.Removed;
        foreach (var id in removed)
        {
            if (_devices.Remove(id, out var gone)) Remove(gone);
        }

        foreach (var device in change.Present)
        {
            if (device.PresharedKey.Length is 0 or PresharedKeyLength) Put(device);
            else LogUnusable(logger, device.Id);
        }
    }

    private void Put(UserDevice device)
    {
        if (_devices.TryGetValue(device.Id, out var known))
        {
            var old = known.Device;
            if (old.PublicKey == device.PublicKey && old.UserId == device.UserId && old.Addresses.SequenceEqual(device.Addresses))
            {
                known.Device = device;
                if (!old.PresharedKey.Span.SequenceEqual(device.PresharedKey.Span)) wireGuard.SetPresharedKey(known.Peer!, device.PresharedKey.Span);
                return;
            }

            // SECURITY: whose it is, and where, was told to the deciders of its flows: they do not outlive it.
            Remove(known);
        }

        var active = new ActiveDevice(device, clock.Time);
        // SECURITY: a device has addresses out of its range, never ours or a resource's, whatever the source says.
        var addresses = device.Addresses.Where(a => WireGuardOptions.IsIn(options.Devices, a) && !options.Own.Contains(a)).ToArray();
        if (wireGuard.FindPeer(device.PublicKey) is { } former)
        {
            // A device's key came back before the farewell was over, or is another one's now.
            var holder = Of(former);
            if (_devices.TryGetValue(holder.Device.Id, out var same) && same == holder) _devices.Remove(holder.Device.Id);
            Detach(holder);
            wireGuard.RemovePeer(former);
        }

        active.Peer = wireGuard.AddPeer(
            new WireGuardPeerOptions
            {
                PublicKey = device.PublicKey,
                PresharedKey = device.PresharedKey,
                AllowedIPs = [.. addresses.Select(a => new IPNetwork(a, a.GetAddressBytes().Length * 8))],
                Owner = active,
                Tag = TagOf(addresses),
            },
            clock.Now);
        // Null: our own public key. Such a device is nowhere.
        if (active.Peer is null) return;
        _devices[device.Id] = active;
        foreach (var address in addresses)
        {
            if (_byAddress.TryGetValue(address, out var holder) && holder != active) holder.EndFlows();
            _byAddress[address] = active;
        }
    }

    // The place in its range, which is the same at every gateway. In a range of more than 2^16 places some devices share a number.
    private static ushort TagOf(IPAddress[] addresses) => addresses.Length == 0 ? (ushort)0 : BinaryPrimitives.ReadUInt16BigEndian(addresses[0].GetAddressBytes().AsSpan()[^2..]);

    private void Remove(ActiveDevice device)
    {
        Detach(device);
        _ = LeaveAsync(device.Peer!);
    }

    private void Detach(ActiveDevice device)
    {
        foreach (var address in device.Device.Addresses) _byAddress.TryRemove(KeyValuePair.Create(address, device));
        device.EndFlows();
    }

    private async Task LeaveAsync(WireGuardPeer peer)
    {
        await Task.Delay(s_farewell, clock.Time, CancellationToken.None);
        wireGuard.RemovePeer(peer);
    }
}
