using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Relay.Gateway.WireGuard.Native;
using Relay.Protocol.WireGuard;
using static Relay.Gateway.WireGuard.Native.SocketOptions;

namespace Relay.Gateway.WireGuard.Udp;

/// <summary>
/// Receives many messages per call, each one datagram or, with UDP_GRO, a run of equal ones. What was received stays in its
/// place until the next call. Not thread-safe. Caller disposes.
/// </summary>
internal sealed unsafe class UdpReceiver : IDisposable
{
    /// <summary>Messages per call. Without UDP_GRO in the path they are single datagrams.</summary>
    private const int Batch = 64;

    private const int MessageBytes = 1 << 16;
    private const int ControlBytes = 96;
    private const int PerMessage = SocketAddressBytes.MaxLength + 4 + ControlBytes;

    private readonly UdpSocket _socket;
    private readonly LocalAddresses _addresses;
    // Only what is written becomes memory: single datagrams touch one page of each message's room.
    private readonly NativeBuffer _data = new(Batch * MessageBytes);
    private readonly NativeBuffer _headers = new(Batch * (sizeof(MultiMessage) + sizeof(IoVector)));
    private readonly NativeBuffer _extras = new(Batch * PerMessage);

    public UdpReceiver(UdpSocket socket, LocalAddresses addresses)
    {
        _socket = socket;
        _addresses = addresses;
        for (var i = 0; i < Batch; i++)
        {
            Vectors[i] = new IoVector { Base = _data.Start + (i * MessageBytes), Length = MessageBytes };
            Messages[i].Header = new MessageHeader { Name = Extra(i), Vectors = Vectors + i, VectorCount = 1, Control = Extra(i) + SocketAddressBytes.MaxLength + 4 };
        }
    }

    private MultiMessage* Messages => (MultiMessage*)_headers.Start;

    private IoVector* Vectors => (IoVector*)(_headers.Start + (Batch * sizeof(MultiMessage)));

    /// <summary>Waits for messages, a quarter of a second at most.</summary>
    /// <returns>How many came; 0 when none did.</returns>
    public int Receive()
    {
        for (var i = 0; i < Batch; i++)
        {
            Messages[i].Header.NameLength = SocketAddressBytes.MaxLength;
            Messages[i].Header.ControlLength = ControlBytes;
        }

        // -1: nothing came in time, a signal, or an error of an earlier datagram that the kernel reports here: nothing was received.
        return Math.Max(0, LibC.ReceiveMessages(_socket.Handle, Messages, Batch, LibC.MSG_WAITFORONE, null));
    }

    /// <summary>One of the messages that came.</summary>
    /// <param name="index">Which.</param>
    /// <param name="source">Where it came from, with the address of ours that it came to.</param>
    /// <param name="segmentLength">Length of each datagram in it; 0 when it is one.</param>
    public Span<byte> Read(int index, out WireGuardEndpoint source, out int segmentLength)
    {
        ref MessageHeader header = ref Messages[index].Header;
        segmentLength = 0;
        int path = LocalAddresses.Any;
        var control = new ControlReader(new ReadOnlySpan<byte>(header.Control, (int)header.ControlLength));
        while (control.MoveNext())
        {
            switch (control.Level, control.Type)
            {
                case (SOL_UDP, UDP_GRO):
                    segmentLength = MemoryMarshal.Read<int>(control.Data);
                    break;
                case (SOL_IPV6, IPV6_PKTINFO):
                    path = _addresses.NumberOf(BinaryPrimitives.ReadUInt128BigEndian(control.Data));
                    break;
                case (SOL_IP, IP_PKTINFO):
                    // ipi_ifindex, ipi_spec_dst (ours), ipi_addr.
                    path = _addresses.NumberOf(BinaryPrimitives.ReadUInt32BigEndian(control.Data[4..]) | ((UInt128)0xffff << 32));
                    break;
            }
        }

        source = SocketAddressBytes.TryRead(new ReadOnlySpan<byte>(header.Name, (int)header.NameLength), out var address, out ushort port, out uint scope)
            ? new WireGuardEndpoint(address, port, scope, path)
            : default;
        return new Span<byte>(Vectors[index].Base, (int)Messages[index].Length);
    }

    public void Dispose()
    {
        _data.Dispose();
        _headers.Dispose();
        _extras.Dispose();
    }

    private byte* Extra(int index) => _extras.Start + (index * PerMessage);
}
