using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Relay.Gateway.WireGuard.Native;
using Relay.Protocol.WireGuard;
using static Relay.Gateway.WireGuard.Native.SocketOptions;

namespace Relay.Gateway.WireGuard.Udp;

/// <summary>
/// Collects datagrams in one buffer and sends them in one call. Datagrams of one length to one place, which lie one after the
/// other, are one message that the kernel cuts (UDP_SEGMENT); where it can not, they go one by one. What can not be sent is
/// dropped, as in any network. Not thread-safe. Caller disposes.
/// </summary>
internal sealed unsafe class UdpSender : IDisposable
{
    /// <summary>Room for datagrams that wait; several runs of the longest kind.</summary>
    private const int BufferBytes = 256 << 10;

    private const int Batch = 128;

    // UDP_MAX_SEGMENTS of kernels up to 6.8.
    private const int MostSegments = 64;

    // A message is one IP packet until it is cut: 65535 less the longer of the two IP headers and UDP's.
    private const int MostBytes = 65535 - 40 - 8;

    private const int ControlBytes = 64;
    private const int PerMessage = SocketAddressBytes.MaxLength + 4 + ControlBytes;

    private readonly MessageSending _send;
    private readonly UdpSocket _socket;
    private readonly LocalAddresses _addresses;
    private readonly NativeBuffer _data = new(BufferBytes);
    private readonly NativeBuffer _headers = new(Batch * (sizeof(MultiMessage) + sizeof(IoVector)));
    private readonly NativeBuffer _extras = new(Batch * PerMessage);
    private readonly Run[] _runs = new Run[Batch];
    private bool _cuts;
    private int _used;
    private int _count;

    public UdpSender(UdpSocket socket, LocalAddresses addresses)
        : this(socket, addresses, LibC.SendMessages)
    {
    }

    /// <param name="socket">Not disposed here.</param>
    /// <param name="addresses">Of ours that datagrams came to.</param>
    /// <param name="send">sendmmsg(2): a test's is a kernel that can not do all.</param>
    internal UdpSender(UdpSocket socket, LocalAddresses addresses, MessageSending send)
    {
        _send = send;
        _socket = socket;
        _addresses = addresses;
        _cuts = socket.CutsSent;
    }

    /// <summary>Calls that could not be made as they were wanted, for tests and figures.</summary>
    public long Fallbacks { get; private set; }

    private MultiMessage* Messages => (MultiMessage*)_headers.Start;

    private IoVector* Vectors => (IoVector*)(_headers.Start + (Batch * sizeof(MultiMessage)));

    /// <summary>Room for the next datagram, behind the one before it; what waits is sent first if there is none.</summary>
    /// <param name="length">Bytes wanted, at most 64 KiB.</param>
    public Span<byte> Reserve(int length)
    {
        if (_used + length > BufferBytes) Flush();
        return _data.Slice(_used, length);
    }

    /// <summary>The first bytes of the room are a datagram now.</summary>
    public void Commit(in WireGuardEndpoint to, int length)
    {
        if (_count > 0)
        {
            ref Run last = ref _runs[_count - 1];
            if (_cuts && !last.IsClosed && length <= last.SegmentLength && last.Segments < MostSegments && last.Length + length <= MostBytes && last.To == to)
            {
                last.IsClosed = length < last.SegmentLength;
                last.Segments++;
                last.Length += length;
                _used += length;
                return;
            }
        }

        // The datagram lies behind those that go now, and stays there.
        if (_count == Batch) FlushRuns();
        _runs[_count++] = new Run { To = to, Start = _used, Length = length, SegmentLength = length, Segments = 1 };
        _used += length;
    }

    /// <summary>Adds a copy of a datagram.</summary>
    public void Add(in WireGuardEndpoint to, ReadOnlySpan<byte> datagram)
    {
        datagram.CopyTo(Reserve(datagram.Length));
        Commit(to, datagram.Length);
    }

    /// <summary>Sends what waits.</summary>
    public void Flush()
    {
        FlushRuns();
        _used = 0;
    }

    public void Dispose()
    {
        _data.Dispose();
        _headers.Dispose();
        _extras.Dispose();
    }

    private void FlushRuns()
    {
        var prepared = 0;
        for (var i = 0; i < _count; i++)
        {
            if (Prepare(prepared, _runs[i], _runs[i].Segments > 1, fromAddress: true)) _runs[prepared++] = _runs[i];
        }

        var sent = 0;
        while (sent < prepared)
        {
            int now = _send(_socket.Handle, Messages + sent, (uint)(prepared - sent), 0);
            if (now > 0)
            {
                sent += now;
                continue;
            }

            int error = Marshal.GetLastPInvokeError();
            if (error == LibC.EINTR) continue;
            // The first of the rest is at fault. EINVAL, EMSGSIZE: its segments do not fit the path. EIO: the interface can not fill in checksums.
            if (error == LibC.EIO) _cuts = false;
            if (error is LibC.EIO or LibC.EINVAL or LibC.EMSGSIZE) SendOneByOne(sent);
            sent++;
        }

        _count = 0;
    }

    // Uses the message's own place, which is no longer needed.
    private void SendOneByOne(int place)
    {
        Fallbacks++;
        Run run = _runs[place];
        for (var offset = 0; offset < run.Length; offset += run.SegmentLength)
        {
            int length = Math.Min(run.SegmentLength, run.Length - offset);
            var single = new Run { To = run.To, Start = run.Start + offset, Length = length, SegmentLength = length, Segments = 1 };
            Prepare(place, single, cut: false, fromAddress: true);
            if (_send(_socket.Handle, Messages + place, 1, 0) == 1 || Marshal.GetLastPInvokeError() != LibC.EINVAL) continue;
            // The address that was asked is no longer ours: another one is better than none.
            Prepare(place, single, cut: false, fromAddress: false);
            _ = _send(_socket.Handle, Messages + place, 1, 0);
        }
    }

    // False: the socket can not reach the place at all.
    private bool Prepare(int place, in Run run, bool cut, bool fromAddress)
    {
        byte* name = _extras.Start + (place * PerMessage);
        byte* control = name + SocketAddressBytes.MaxLength + 4;
        int nameLength = SocketAddressBytes.Write(run.To, new Span<byte>(name, SocketAddressBytes.MaxLength), _socket.IsIPv6);
        if (nameLength == 0) return false;
        var writer = new ControlWriter(new Span<byte>(control, ControlBytes));
        if (cut) MemoryMarshal.Write(writer.Add(SOL_UDP, UDP_SEGMENT, 2), (ushort)run.SegmentLength);
        if (fromAddress && _addresses.TryGet(run.To.Path, out UInt128 address))
        {
            if (_socket.IsIPv6) BinaryPrimitives.WriteUInt128BigEndian(writer.Add(SOL_IPV6, IPV6_PKTINFO, 20), address);
            else BinaryPrimitives.WriteUInt32BigEndian(writer.Add(SOL_IP, IP_PKTINFO, 12)[4..], (uint)address);
        }

        Vectors[place] = new IoVector { Base = _data.Start + run.Start, Length = (nuint)run.Length };
        Messages[place].Header = new MessageHeader
        {
            Name = name,
            NameLength = (uint)nameLength,
            Vectors = Vectors + place,
            VectorCount = 1,
            Control = writer.Length == 0 ? null : control,
            ControlLength = (nuint)writer.Length,
        };
        return true;
    }

    private struct Run
    {
        public WireGuardEndpoint To;
        public int Start;
        public int Length;
        public int SegmentLength;
        public int Segments;
        public bool IsClosed;
    }
}
