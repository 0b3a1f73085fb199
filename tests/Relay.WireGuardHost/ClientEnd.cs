using System.Net;
using Relay.Gateway.WireGuard;
using Relay.Gateway.WireGuard.Loops;
using Relay.Gateway.WireGuard.Tun;
using Relay.Gateway.WireGuard.Udp;
using Relay.Protocol.WireGuard;

namespace Relay.WireGuardHost;

/// <summary>
/// The other end of a tunnel, on the gateway's own code: one peer, which everything is sent to. Its interface's address and routes are whoever's that
/// started it. For benchmarks.
/// </summary>
internal static class ClientEnd
{
    /// <param name="arguments">The gateway's address and port, its public key, the file of the private key, the interface's name.</param>
    public static void Run(string[] arguments)
    {
        // The filter of the way in passes what goes to resources: here that is the client itself.
        var options = new WireGuardOptions { Listen = new IPEndPoint(IPAddress.Any, 0), Devices = [], Resources = [IPNetwork.Parse("100.124.0.0/16")] };
        if (!WireGuardPublicKey.TryParse(arguments[1], out var key)) throw new ArgumentException("no key");
        var clock = new TunnelClock(TimeProvider.System);
        using var device = new WireGuardDevice(new WireGuardDeviceOptions { PrivateKey = Convert.FromBase64String(File.ReadAllText(arguments[2])), Epoch = clock.Epoch, Mtu = options.Mtu });
        device.AddPeer(
            new WireGuardPeerOptions { PublicKey = key, Endpoint = new WireGuardEndpoint(IPEndPoint.Parse(arguments[0])), AllowedIPs = [IPNetwork.Parse("0.0.0.0/0")] }, clock.Now);
        using var tun = TunDevice.Open(arguments[3], multiQueue: false);
        using var udp = UdpSocket.Open(options.Listen, shared: false);
        using var handshakes = new HandshakeQueue();
        var addresses = new LocalAddresses();
        using var control = new ControlLoop(device, clock, new UdpSender(udp, addresses), handshakes);
        using var inbound = new InboundLoop(device, options, clock, new UdpReceiver(udp, addresses), new UdpSender(udp, addresses), tun, handshakes);
        using var outbound = new OutboundLoop(device, clock, tun, new UdpSender(udp, addresses), handshakes);
        static void Failed(Exception e) => Console.WriteLine($"failed {e}");
        using var first = new PacketThread("wg-control", control.Turn, Failed);
        using var second = new PacketThread("wg-in", inbound.Turn, Failed);
        using var third = new PacketThread("wg-out", outbound.Turn, Failed);
        Console.WriteLine("client ready");
        // To the end of stdin.
        Console.In.ReadToEnd();
    }
}
