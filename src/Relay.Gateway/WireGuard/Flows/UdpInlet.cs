using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Relay.Gateway.WireGuard.Native;
using static Relay.Gateway.WireGuard.Native.SocketOptions;

namespace Relay.Gateway.WireGuard.Flows;

/// <summary>
/// Where the first datagrams of UDP flows of one family arrive, each with the address that was dialled: IP_RECVORIGDSTADDR. Those after them go
/// to the flow's own socket. Not thread-safe. Caller disposes.
/// </summary>
internal sealed unsafe class UdpInlet : IDisposable
{
    /// <summary>The longest datagram.</summary>
    public const int LongestDatagram = 65535;

    private const int ControlBytes = 64;

    private readonly Socket _socket;
    private readonly NativeBuffer _buffer = new(sizeof(MultiMessage) + sizeof(IoVector) + SocketAddressBytes.MaxLength + 4 + ControlBytes + LongestDatagram + 1);

    public UdpInlet(Socket socket)
    {
        _socket = socket;
        Port = ((IPEndPoint)socket.LocalEndPoint!).Port;
        var six = socket.AddressFamily == AddressFamily.InterNetworkV6;
        socket.SetRawSocketOption(six ? SOL_IPV6 : SOL_IP, six ? IPV6_RECVORIGDSTADDR : IP_RECVORIGDSTADDR, BitConverter.GetBytes(1));
        Span<long> wait = [0, 250_000];
        socket.SetRawSocketOption(SOL_SOCKET, SO_RCVTIMEO, MemoryMarshal.AsBytes(wait));
    }

    /// <summary>The port that the nft table hands datagrams to.</summary>
    public int Port { get; }

    private MultiMessage* Message => (MultiMessage*)_buffer.Start;

    private IoVector* Vector => (IoVector*)(_buffer.Start + sizeof(MultiMessage));

    private byte* Name => (byte*)(Vector + 1);

    private byte* Control => Name + SocketAddressBytes.MaxLength + 4;

    private byte* Data => Control + ControlBytes;

    /// <summary>Waits for a datagram, a quarter of a second at most; false when none came. The datagram lies in this object until the next call.</summary>
    public bool TryReceive(out IPEndPoint from, out IPEndPoint dialled, out ReadOnlySpan<byte> datagram)
    {
        (from, dialled) = (null!, null!);
        datagram = default;
        *Vector = new IoVector { Base = Data, Length = LongestDatagram };
        Message->Header = new MessageHeader
        {
            Name = Name,
            NameLength = SocketAddressBytes.MaxLength,
            Vectors = Vector,
            VectorCount = 1,
            Control = Control,
            ControlLength = ControlBytes,
        };
        if (LibC.ReceiveMessages(_socket.SafeHandle, Message, 1, 0, null) != 1) return false;
        datagram = new ReadOnlySpan<byte>(Data, (int)Message->Length);
        var control = new ControlReader(new ReadOnlySpan<byte>(Control, (int)Message->Header.ControlLength));
        while (control.MoveNext())
        {
            if ((control.Level, control.Type) is (SOL_IP, IP_RECVORIGDSTADDR) or (SOL_IPV6, IPV6_RECVORIGDSTADDR))
                dialled = SocketAddressBytes.ToEndPoint(control.Data)!;
        }

        from = SocketAddressBytes.ToEndPoint(new ReadOnlySpan<byte>(Name, (int)Message->Header.NameLength))!;
        return from is not null && dialled is not null;
    }

    public void Dispose()
    {
        _socket.Dispose();
        _buffer.Dispose();
    }
}
