using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using static Relay.Gateway.WireGuard.Native.SocketOptions;

namespace Relay.Gateway.WireGuard.Udp;

/// <summary>
/// One outer socket: IPv4, or IPv6 that serves both. What the kernel does not offer of UDP_GRO and UDP_SEGMENT is left out.
/// Blocking, but a receive that waits returns now and then. Safe for concurrent use. Caller disposes.
/// </summary>
internal sealed class UdpSocket : IDisposable
{
    // As much as a burst at several Gbit/s needs while a thread is not scheduled; wireguard-go uses as much.
    private const int BufferBytes = 7 << 20;

    private static readonly TimeSpan s_longestWait = TimeSpan.FromMilliseconds(250);

    private readonly Socket _socket;

    private UdpSocket(Socket socket)
    {
        _socket = socket;
        Handle = socket.SafeHandle;
        IsIPv6 = socket.AddressFamily == AddressFamily.InterNetworkV6;
        LocalEndPoint = (IPEndPoint)socket.LocalEndPoint!;
    }

    public SafeHandle Handle { get; }

    /// <summary>False: the socket is of IPv4 alone.</summary>
    public bool IsIPv6 { get; }

    public IPEndPoint LocalEndPoint { get; }

    /// <summary>The kernel joins datagrams of one source: UDP_GRO, since Linux 5.0.</summary>
    public bool JoinsReceived { get; private init; }

    /// <summary>The kernel cuts a buffer into datagrams: UDP_SEGMENT, since Linux 4.18.</summary>
    public bool CutsSent { get; private init; }

    /// <summary>Opens and binds a socket.</summary>
    /// <param name="local">Where; the IPv6 "any" address stands for IPv4 too.</param>
    /// <param name="shared">True: several sockets of this process share the port, and the kernel spreads sources over them.</param>
    /// <param name="offload">False: without UDP_GRO and UDP_SEGMENT.</param>
    /// <exception cref="SocketException">The address can not be had.</exception>
    public static UdpSocket Open(IPEndPoint local, bool shared, bool offload = true)
    {
        var socket = new Socket(local.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        try
        {
            var six = local.AddressFamily == AddressFamily.InterNetworkV6;
            if (six) socket.DualMode = local.Address.Equals(IPAddress.IPv6Any);
            if (shared) socket.SetRawSocketOption(SOL_SOCKET, SO_REUSEPORT, Int(1));
            SetBuffer(socket, SO_RCVBUFFORCE, SO_RCVBUF);
            SetBuffer(socket, SO_SNDBUFFORCE, SO_SNDBUF);
            Span<long> wait = [0, (long)s_longestWait.TotalMicroseconds];
            socket.SetRawSocketOption(SOL_SOCKET, SO_RCVTIMEO, MemoryMarshal.AsBytes(wait));
            // No "don't fragment" outside: a path that is narrower than the tunnel thinks fragments instead of swallowing.
            if (six) socket.SetRawSocketOption(SOL_IPV6, IPV6_MTU_DISCOVER, Int(0));
            if (!six || socket.DualMode) socket.SetRawSocketOption(SOL_IP, IP_MTU_DISCOVER, Int(0));
            if (six) socket.SetRawSocketOption(SOL_IPV6, IPV6_RECVPKTINFO, Int(1));
            else socket.SetRawSocketOption(SOL_IP, IP_PKTINFO, Int(1));
            socket.Bind(local);
            return new UdpSocket(socket)
            {
                JoinsReceived = offload && TrySet(socket, SOL_UDP, UDP_GRO, 1),
                // Zero cuts nothing by itself; that it can be set says that the kernel knows how.
                CutsSent = offload && TrySet(socket, SOL_UDP, UDP_SEGMENT, 0),
            };
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    public void Dispose() => _socket.Dispose();

    private static void SetBuffer(Socket socket, int forced, int limited)
    {
        // The forced form goes beyond net.core.?mem_max and needs CAP_NET_ADMIN.
        if (!TrySet(socket, SOL_SOCKET, forced, BufferBytes)) TrySet(socket, SOL_SOCKET, limited, BufferBytes);
    }

    private static bool TrySet(Socket socket, int level, int name, int value)
    {
        try
        {
            socket.SetRawSocketOption(level, name, Int(value));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private static byte[] Int(int value) => BitConverter.GetBytes(value);
}
