using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Relay.Gateway.WireGuard.Native;

namespace Relay.Gateway.WireGuard.Tun;

/// <summary>
/// Joins decrypted TCP and UDP packets of a flow that follow each other, as the kernel's GRO does, and gives them to the device as one:
/// the kernel's way for a packet is walked once for dozens. Packets stay where they were decrypted, which must be memory
/// that does not move, until <see cref="Flush"/>. Order is kept within a flow. Not thread-safe. Caller disposes.
/// </summary>
internal sealed unsafe class PacketCoalescer : IDisposable
{
    private const int Flows = 16;

    // Header, first packet, payloads. More than 65535 bytes of the usual segments have.
    private const int MostPackets = 64;
    private const int MostBytes = 65535;

    private readonly TunDevice _device;
    private readonly NativeBuffer _vectors = new((MostPackets + 1) * Flows * sizeof(IoVector));
    private readonly NativeBuffer _headers = new((Flows + 1) * 16);
    private readonly Entry[] _entries = new Entry[Flows];
    private int _next;

    public PacketCoalescer(TunDevice device) => _device = device;

    /// <summary>Packets taken and packets given to the device, for tests and figures.</summary>
    public long Taken { get; private set; }

    public long Written { get; private set; }

    /// <summary>Takes a packet: it is written now, or with the next <see cref="Flush"/>.</summary>
    public void Add(Span<byte> packet)
    {
        Taken++;
        if (!TransportLayout.TryRead(packet, out TransportLayout layout))
        {
            WriteSingle(packet);
            return;
        }

        int found = Find(packet, layout);
        bool joins = (layout.Protocol == TransportLayout.Tcp ? _device.HasOffload : _device.HasUdpOffload) && IsPlainData(packet, layout);
        if (found >= 0)
        {
            if (joins && TryAppend(ref _entries[found], found, packet, layout)) return;
            WriteEntry(found);
        }

        if (joins) Begin(packet, layout);
        else WriteSingle(packet);
    }

    /// <summary>Writes what waits. Afterwards the memory of all packets may be used again.</summary>
    public void Flush()
    {
        for (var i = 0; i < Flows; i++) WriteEntry(i);
        _next = 0;
    }

    public void Dispose()
    {
        _vectors.Dispose();
        _headers.Dispose();
    }

    // Of TCP bytes and an acknowledgment, and no other news; of UDP something, whole and with a checksum.
    private static bool IsPlainData(ReadOnlySpan<byte> packet, in TransportLayout layout)
    {
        if (packet.Length == layout.Payload) return false;
        ReadOnlySpan<byte> header = packet[layout.Transport..];
        return layout.Protocol == TransportLayout.Tcp
            ? (header[TransportLayout.FlagsAt] & ~TransportLayout.Psh) == TransportLayout.Ack
            : BinaryPrimitives.ReadUInt16BigEndian(header[TransportLayout.UdpLengthAt..]) == header.Length && (header[6] | header[7]) != 0;
    }

    // UDP has none: what follows is what came next.
    private static uint Sequence(ReadOnlySpan<byte> packet, in TransportLayout layout) => layout.Protocol == TransportLayout.Udp ? 0 : BinaryPrimitives.ReadUInt32BigEndian(packet[(layout.Transport + TransportLayout.SequenceAt)..]);

    private static bool IsPushed(ReadOnlySpan<byte> packet, in TransportLayout layout) =>
        layout.Protocol == TransportLayout.Tcp && (packet[layout.Transport + TransportLayout.FlagsAt] & TransportLayout.Psh) != 0;

    // What must be the same in all packets that become one, but for the length, the identification, the sequence number and PSH.
    private static bool IsSameHeader(ReadOnlySpan<byte> first, ReadOnlySpan<byte> packet, in TransportLayout layout)
    {
        bool ip = layout.IsIPv6
            ? first[..4].SequenceEqual(packet[..4]) && first[7] == packet[7]
            : first[1] == packet[1] && first[6] == packet[6] && first[8] == packet[8];
        if (!ip || layout.Protocol == TransportLayout.Udp) return ip;
        ReadOnlySpan<byte> one = first[layout.Transport..layout.Payload], other = packet[layout.Transport..layout.Payload];
        return one[TransportLayout.AcknowledgmentAt..TransportLayout.FlagsAt].SequenceEqual(other[TransportLayout.AcknowledgmentAt..TransportLayout.FlagsAt])
            && one[TransportLayout.WindowAt..layout.ChecksumAt].SequenceEqual(other[TransportLayout.WindowAt..layout.ChecksumAt])
            && one[TransportLayout.TcpHeaderLength..].SequenceEqual(other[TransportLayout.TcpHeaderLength..]);
    }

    private int Find(ReadOnlySpan<byte> packet, in TransportLayout layout)
    {
        // Addresses and ports lie one after the other.
        int start = layout.Addresses.Start.Value, end = layout.Transport + 4;
        for (var i = 0; i < Flows; i++)
        {
            if (_entries[i].Packets > 0 && _entries[i].Layout.IsIPv6 == layout.IsIPv6 && _entries[i].Layout.Protocol == layout.Protocol && First(i)[start..end].SequenceEqual(packet[start..end])) return i;
        }

        return -1;
    }

    private bool TryAppend(ref Entry entry, int index, ReadOnlySpan<byte> packet, in TransportLayout layout)
    {
        int payload = packet.Length - layout.Payload;
        Span<byte> first = First(index);
        if (entry.IsClosed || entry.Layout.Payload != layout.Payload || entry.Packets == MostPackets || entry.Length + payload > MostBytes
            || payload > entry.SegmentPayload || Sequence(packet, layout) != entry.NextSequence || !IsSameHeader(first, packet, layout))
        {
            return false;
        }

        Vectors(index)[1 + entry.Packets] = Vector(packet[layout.Payload..]);
        entry.Packets++;
        entry.Length += payload;
        entry.IsClosed = payload < entry.SegmentPayload || IsPushed(packet, layout);
        if (layout.Protocol == TransportLayout.Udp) return true;
        entry.NextSequence += (uint)payload;
        first[layout.Transport + TransportLayout.FlagsAt] |= packet[layout.Transport + TransportLayout.FlagsAt];
        return true;
    }

    private void Begin(Span<byte> packet, in TransportLayout layout)
    {
        // The oldest makes room.
        int index = _next;
        _next = (_next + 1) % Flows;
        WriteEntry(index);
        int payload = packet.Length - layout.Payload;
        Vectors(index)[1] = Vector(packet);
        _entries[index] = new Entry
        {
            Layout = layout,
            Packets = 1,
            Length = packet.Length,
            SegmentPayload = payload,
            NextSequence = layout.Protocol == TransportLayout.Udp ? 0 : Sequence(packet, layout) + (uint)payload,
            IsClosed = IsPushed(packet, layout),
        };
    }

    private void WriteEntry(int index)
    {
        ref Entry entry = ref _entries[index];
        if (entry.Packets == 0) return;
        Span<byte> first = First(index);
        var header = default(VirtioHeader);
        if (entry.Packets > 1)
        {
            // The sum of the parts was the tunnel's to protect, and is: from here on the kernel takes it as checked.
            TransportLayout layout = entry.Layout;
            header = new VirtioHeader
            {
                Flags = VirtioHeader.NeedsChecksum,
                Segmentation = layout.Protocol == TransportLayout.Udp ? VirtioHeader.Udp : layout.IsIPv6 ? VirtioHeader.Tcp6 : VirtioHeader.Tcp4,
                HeaderLength = (ushort)layout.Payload,
                SegmentPayload = (ushort)entry.SegmentPayload,
                ChecksumStart = (ushort)layout.Transport,
                ChecksumOffset = (ushort)layout.ChecksumAt,
            };
            layout.WriteLength(first, entry.Length);
            InternetChecksum.WritePartial(first[(layout.Transport + layout.ChecksumAt)..], InternetChecksum.Pseudo(first[layout.Addresses], layout.Protocol, entry.Length - layout.Transport));
        }

        Write(index, header, Vectors(index), entry.Packets + 1);
        entry.Packets = 0;
    }

    private void WriteSingle(Span<byte> packet)
    {
        IoVector* pieces = stackalloc IoVector[2];
        pieces[1] = Vector(packet);
        Write(Flows, default, pieces, 2);
    }

    private void Write(int place, VirtioHeader header, IoVector* pieces, int count)
    {
        byte* at = _headers.Start + (place * 16);
        Unsafe.WriteUnaligned(at, header);
        pieces[0] = new IoVector { Base = at, Length = VirtioHeader.Length };
        Written++;
        _device.Write(pieces, count);
    }

    private IoVector* Vectors(int index) => (IoVector*)_vectors.Start + (index * (MostPackets + 1));

    private Span<byte> First(int index)
    {
        ref IoVector vector = ref Vectors(index)[1];
        return new Span<byte>(vector.Base, (int)vector.Length);
    }

    private static IoVector Vector(ReadOnlySpan<byte> bytes) =>
        new() { Base = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(bytes)), Length = (nuint)bytes.Length };

    private struct Entry
    {
        public TransportLayout Layout;
        public int Packets;
        public int Length;
        public int SegmentPayload;
        public uint NextSequence;
        public bool IsClosed;
    }
}
