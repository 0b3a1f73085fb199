using System.Buffers.Binary;

namespace Relay.Gateway.WireGuard.Tun;

/// <summary>
/// A packet as the kernel gave it, which may stand for many (TSO): they are written out one by one, each where it is to be encrypted.
/// </summary>
internal ref struct SuperPacket
{
    private readonly ReadOnlySpan<byte> _packet;
    private readonly VirtioHeader _header;
    private readonly TcpLayout _layout;
    private int _offset;
    private ushort _index;

    private SuperPacket(ReadOnlySpan<byte> packet, VirtioHeader header, TcpLayout layout)
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
        TcpLayout layout = default;
        if (header.Segmentation == VirtioHeader.NoSegmentation)
        {
            if (packet.IsEmpty) return false;
            if (header.Flags == VirtioHeader.NeedsChecksum && header.ChecksumStart + header.ChecksumOffset + 2 > packet.Length) return false;
        }
        else if ((header.Segmentation & 0x7f) is not (VirtioHeader.Tcp4 or VirtioHeader.Tcp6) || header.SegmentPayload == 0
                 || !TcpLayout.TryRead(packet, out layout) || packet.Length == layout.Payload)
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
        TcpLayout.WriteLength(to, to.Length);
        Span<byte> tcp = to[_layout.Tcp..];
        uint sequence = BinaryPrimitives.ReadUInt32BigEndian(tcp[TcpLayout.SequenceAt..]);
        BinaryPrimitives.WriteUInt32BigEndian(tcp[TcpLayout.SequenceAt..], sequence + (uint)(_offset - _layout.Payload));
        if (!isLast) tcp[TcpLayout.FlagsAt] &= unchecked((byte)~(TcpLayout.Fin | TcpLayout.Psh));
        if (!isFirst) tcp[TcpLayout.FlagsAt] &= unchecked((byte)~TcpLayout.Cwr);
        tcp.Slice(TcpLayout.ChecksumAt, 2).Clear();
        InternetChecksum.Write(tcp[TcpLayout.ChecksumAt..], InternetChecksum.Add(InternetChecksum.Pseudo(to[_layout.Addresses], TcpLayout.Protocol, tcp.Length), tcp));
        _offset += payload;
        _index++;
        NextLength = isLast ? 0 : Math.Min(_packet.Length - _offset, _header.SegmentPayload) + _layout.Payload;
    }

    private readonly void FillChecksum(Span<byte> packet)
    {
        Span<byte> from = packet[_header.ChecksumStart..];
        ulong sum = InternetChecksum.Add(0, from);
        Span<byte> field = from[_header.ChecksumOffset..];
        InternetChecksum.Write(field, sum);
        // UDP writes a sum of zero as its other form: zero means that there is none (RFC 768).
        if (_header.ChecksumOffset == 6 && field[0] == 0 && field[1] == 0) field[..2].Fill(0xff);
    }
}
