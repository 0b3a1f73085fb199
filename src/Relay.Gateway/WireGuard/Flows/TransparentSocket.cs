using System.Net;
using System.Net.Sockets;
using Relay.Gateway.WireGuard.Native;
using static Relay.Gateway.WireGuard.Native.SocketOptions;

namespace Relay.Gateway.WireGuard.Flows;

/// <summary>Sockets that may have others' addresses, IP_TRANSPARENT: what TPROXY hands connections to, and what answers as the address that was dialled.</summary>
internal static class TransparentSocket
{
    /// <summary>A socket of the address' family that may be bound to any address. Caller disposes.</summary>
    /// <exception cref="SocketException">CAP_NET_ADMIN is missing, or there is no such family.</exception>
    public static Socket Create(AddressFamily family, SocketType type)
    {
        var socket = new Socket(family, type, type == SocketType.Stream ? ProtocolType.Tcp : ProtocolType.Udp);
        try
        {
            var six = family == AddressFamily.InterNetworkV6;
            socket.SetRawSocketOption(six ? SOL_IPV6 : SOL_IP, six ? IPV6_TRANSPARENT : IP_TRANSPARENT, BitConverter.GetBytes(1));
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>
    /// A socket that takes what the nft table hands over, on a port of the loopback that the kernel chooses: nobody outside can reach it otherwise.
    /// </summary>
    public static Socket Listen(AddressFamily family, SocketType type)
    {
        var socket = Create(family, type);
        socket.Bind(new IPEndPoint(family == AddressFamily.InterNetworkV6 ? IPAddress.IPv6Loopback : IPAddress.Loopback, 0));
        if (type == SocketType.Stream) socket.Listen(4096);
        return socket;
    }

    /// <summary>
    /// The address that an accepted connection was dialled at. The framework's own property repeats the listener's address, which here is another one.
    /// </summary>
    public static unsafe IPEndPoint? DialledAddress(Socket accepted)
    {
        Span<byte> bytes = stackalloc byte[SocketAddressBytes.MaxLength];
        uint length = SocketAddressBytes.MaxLength;
        fixed (byte* start = bytes)
        {
            if (LibC.GetSocketName(accepted.SafeHandle, start, &length) != 0) return null;
        }

        return SocketAddressBytes.ToEndPoint(bytes[..(int)length]);
    }
}
