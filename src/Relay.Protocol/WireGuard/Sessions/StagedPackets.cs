using System.Buffers;

namespace Relay.Protocol.WireGuard;

/// <summary>
/// Inner packets of one peer that wait for its session, whitepaper §6.4; the oldest goes when there are too many. Under the
/// peer's lock.
/// </summary>
internal sealed class StagedPackets
{
    private readonly Queue<(byte[] Buffer, int Length)> _packets = new();

    /// <summary>Keeps a copy, or drops the packet when all peers together have too many bytes waiting.</summary>
    public bool TryAdd(ReadOnlySpan<byte> packet, DeviceContext device)
    {
        if (_packets.Count == WireGuardLimits.StagedPacketsPerPeer)
        {
            DropOne(device);
            device.Drops.Count(WireGuardDrop.Unsent);
        }

        byte[] buffer = ArrayPool<byte>.Shared.Rent(packet.Length);
        if (!device.TryStage(buffer.Length))
        {
            ArrayPool<byte>.Shared.Return(buffer);
            device.Drops.Count(WireGuardDrop.Unsent);
            return false;
        }

        packet.CopyTo(buffer);
        _packets.Enqueue((buffer, packet.Length));
        return true;
    }

    /// <summary>The oldest, which is the caller's now, to give to <see cref="Return"/>.</summary>
    public bool TryTake(out (byte[] Buffer, int Length) packet) => _packets.TryDequeue(out packet);

    /// <summary>Gives back what was taken.</summary>
    public static void Return(byte[] buffer, DeviceContext device)
    {
        device.Unstage(buffer.Length);
        ArrayPool<byte>.Shared.Return(buffer);
    }

    /// <summary>Drops all.</summary>
    public void Clear(DeviceContext device)
    {
        while (_packets.Count > 0)
        {
            DropOne(device);
            device.Drops.Count(WireGuardDrop.Unsent);
        }
    }

    private void DropOne(DeviceContext device) => Return(_packets.Dequeue().Buffer, device);
}
