using System.Buffers.Binary;

namespace Relay.Gateway.WireGuard.Tun;

/// <summary>
/// A packet as the kernel gave it, which may stand for many (TSO, USO): they are written out one by one, each where it is to be encrypted.
/// </summary>
internal ref struct SuperPacket
{
    private readonly ReadOnlySpan<byte> _packet;
    private readonly VirtioHeader _header;
    private readonly TransportLayout _layout;
    private int _offset;
    private ushort _index;

    private SuperPacket(ReadOnlySpan<byte> packet, VirtioHeader header, TransportLayout layout)
    {
        _packet = packet;
        _header = header;
        _layout = layout;
        _offset = layout.Payload;
        NextLength = IsCut ? Math.Min(packet.Length, layout.Payload + header.SegmentPayload) : packet.Length;
    }

    /// <summary>Length of the next packet in bytes; 0 when there are no more.</summary>
    public int NextLength { get; private set; }

    private readonly bool IsCut => _header.Segmentation != VirtioHeader.NoSegmentation;

    /// <summary>False for what can not be: a large packet of another kind, or with values outside it.</summary>
    public static bool TryRead(ReadOnlySpan<byte> packet, VirtioHeader header, out SuperPacket super)
    {
        super = default;
        TransportLayout layout = default;
        if (header.Segmentation == VirtioHeader.NoSegmentation)
        {
            if (packet.IsEmpty) return false;
            if (header.Flags == VirtioHeader.NeedsChecksum && header.ChecksumStart + header.ChecksumOffset + 2 > packet.Length) return false;
        }
        else if (header.SegmentPayload == 0 || !TransportLayout.TryRead(packet, out layout) || packet.Length == layout.Payload || ProtocolOf(header) != layout.Protocol)
        {
            return false;
        }

        super = new SuperPacket(packet, header, layout);
        return true;
    }

    /// <summary>Writes the next packet, whole and with its checksums.</summary>
    /// <param name="to">Room for <see cref="NextLength"/> bytes.</param>
    public void WriteNext(Span<byte> to)
    {
        to = to[..NextLength];
        if (!IsCut)
        {
            _packet.CopyTo(to);
            if ((_header.Flags & VirtioHeader.NeedsChecksum) != 0) FillChecksum(to);
            NextLength = 0;
            return;
        }

        int payload = to.Length - _layout.Payload;
        bool isFirst = _offset == _layout.Payload, isLast = _offset + payload == _packet.Length;
        _packet[.._layout.Payload].CopyTo(to);
        _packet.Slice(_offset, payload).CopyTo(to[_layout.Payload..]);
        if (!_layout.IsIPv6)
            BinaryPrimitives.WriteUInt16BigEndian(to[4..], (ushort)(BinaryPrimitives.ReadUInt16BigEndian(to[4..]) + _index));
        _layout.WriteLength(to, to.Length);
        Span<byte> transport = to[_layout.Transport..];
        if (_layout.Protocol == TransportLayout.Tcp)
        {
            uint sequence = BinaryPrimitives.ReadUInt32BigEndian(transport[TransportLayout.SequenceAt..]);
            BinaryPrimitives.WriteUInt32BigEndian(transport[TransportLayout.SequenceAt..], sequence + (uint)(_offset - _layout.Payload));
            if (!isLast) transport[TransportLayout.FlagsAt] &= unchecked((byte)~(TransportLayout.Fin | TransportLayout.Psh));
            if (!isFirst) transport[TransportLayout.FlagsAt] &= unchecked((byte)~TransportLayout.Cwr);
        }

        Span<byte> checksum = transport.Slice(_layout.ChecksumAt, 2);
        checksum.Clear();
        WriteChecksum(checksum, InternetChecksum.Add(InternetChecksum.Pseudo(to[_layout.Addresses], _layout.Protocol, transport.Length), transport), _layout.Protocol == TransportLayout.Udp);
        _offset += payload;
        _index++;
        NextLength = isLast ? 0 : Math.Min(_packet.Length - _offset, _header.SegmentPayload) + _layout.Payload;
    }

    // 0: none that is known. What has ECN in it is TCP's.
    private static byte ProtocolOf(VirtioHeader header) => (header.Segmentation & 0x7f) switch
    {
        VirtioHeader.Tcp4 or VirtioHeader.Tcp6 => TransportLayout.Tcp,
        VirtioHeader.Udp => TransportLayout.Udp,
        _ => 0,
    };

    // UDP writes a sum of zero as its other form: zero means that there is none (RFC 768).
    private static void WriteChecksum(Span<byte> field, ulong sum, bool isUdp)
    {
        InternetChecksum.Write(field, sum);
        if (isUdp && field[0] == 0 && field[1] == 0) field[..2].Fill(0xff);
    }

    private readonly void FillChecksum(Span<byte> packet)
    {
        Span<byte> from = packet[_header.ChecksumStart..];
        WriteChecksum(from[_header.ChecksumOffset..], InternetChecksum.Add(0, from), _header.ChecksumOffset == 6);
    }
}
