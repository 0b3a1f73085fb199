using System.Buffers;
using System.Runtime.InteropServices;
using Relay.Gateway.WireGuard.Native;
using Relay.Gateway.WireGuard.Tun;
using Relay.Gateway.WireGuard.Udp;
using Relay.Protocol.WireGuard;

namespace Relay.Gateway.WireGuard.Loops;

/// <summary>One queue's way out: packets of the kernel are read in batches, cut and encrypted straight into the send buffer, and sent. One thread.</summary>
internal sealed class OutboundLoop(WireGuardDevice device, TunnelClock clock, TunDevice tun, UdpSender sender, HandshakeQueue handshakes) : IDisposable
{
    private const int Reads = 32;

    // More at once would push the first out of the processor's caches before it is encrypted.
    private const int BytesAtOnce = 128 << 10;

    // Of a data message, before the packet: WireGuard whitepaper §5.4.6.
    private const int DataHeaderLength = 16;

    private static readonly TimeSpan s_longestWait = TimeSpan.FromMilliseconds(250);
    private static readonly int s_place = (TunDevice.LongestRead + 63) & ~63;

    private readonly NativeBuffer _data = new(Reads * s_place);
    private readonly int[] _lengths = new int[Reads];
    private readonly SenderSink _sink = new(sender, handshakes);

    /// <summary>Reads what there is, waiting a quarter of a second at most, and sends all of it.</summary>
    public void Turn()
    {
        int count = ReadAll();
        if (count == 0)
        {
            tun.Wait(s_longestWait);
            return;
        }

        TimeSpan now = clock.Now;
        for (var i = 0; i < count;)
        {
            if (device.Route(Packet(i)) is not { } peer)
            {
                i++;
                continue;
            }

            WireGuardSendBatch batch = device.BeginSend(peer, now, _sink);
            try
            {
                do Seal(ref batch, i++, now);
                while (i < count && device.Route(Packet(i)) == peer);
            }
            finally
            {
                batch.Dispose();
            }
        }

        sender.Flush();
    }

    public void Dispose()
    {
        _data.Dispose();
        sender.Dispose();
    }

    private int ReadAll()
    {
        var (count, bytes) = (0, 0);
        while (count < Reads && bytes < BytesAtOnce)
        {
            int read = tun.Read(_data.Slice(count * s_place, s_place));
            if (read == 0) break;
            if (read <= VirtioHeader.Length) continue;
            _lengths[count++] = read;
            bytes += read;
        }

        return count;
    }

    private ReadOnlySpan<byte> Packet(int index) => _data.Slice((index * s_place) + VirtioHeader.Length, _lengths[index] - VirtioHeader.Length);

    private void Seal(scoped ref WireGuardSendBatch batch, int index, TimeSpan now)
    {
        var header = MemoryMarshal.Read<VirtioHeader>(_data.Slice(index * s_place, VirtioHeader.Length));
        if (!SuperPacket.TryRead(Packet(index), header, out SuperPacket super)) return;
        while (super.NextLength is var length && length > 0)
        {
            Span<byte> room = sender.Reserve(device.SealedLength(length));
            super.WriteNext(room[DataHeaderLength..]);
            if (batch.IsOpen)
            {
                int sealedLength = batch.Seal(room, length);
                if (sealedLength > 0) sender.Commit(batch.Endpoint, sealedLength);
            }
            else
            {
                SendWithout(room.Slice(DataHeaderLength, length), now);
            }
        }
    }

    // There is no session: the packet is kept until there is, or sent if it has come just now, through the room where it lies. Hence the copy.
    private void SendWithout(ReadOnlySpan<byte> packet, TimeSpan now)
    {
        byte[] copy = ArrayPool<byte>.Shared.Rent(packet.Length);
        packet.CopyTo(copy);
        device.Send(copy.AsSpan(0, packet.Length), now, _sink);
        ArrayPool<byte>.Shared.Return(copy);
    }
}
