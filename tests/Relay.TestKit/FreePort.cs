using System.Net;
using System.Net.Sockets;

namespace Relay.TestKit;

/// <summary>For programs that cannot be asked to choose a port themselves.</summary>
public static class FreePort
{
    // Below those that the kernel gives to whoever leaves the choice to it (net.ipv4.ip_local_port_range): nobody gets one by chance before its
    // user is up, or while that is down for a while.
    private const int First = 10_000, Count = 20_000;

    private static int s_next = Random.Shared.Next(Count);

    /// <summary>A TCP port of 127.0.0.1 that was free a moment ago, and that this process has not given to anybody else.</summary>
    public static int Next()
    {
        while (true)
        {
            var port = First + (int)((uint)Interlocked.Increment(ref s_next) % Count);
            using var listener = new TcpListener(IPAddress.Loopback, port);
            try
            {
                listener.Start();
                return port;
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.AddressAlreadyInUse)
            {
                // Somebody else's.
            }
        }
    }
}
