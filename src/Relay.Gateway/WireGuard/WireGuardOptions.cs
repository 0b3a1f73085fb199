using System.Net;
using System.Net.Sockets;

namespace Relay.Gateway.WireGuard;

/// <summary>How the gateway offers WireGuard. One gateway does so per network namespace: its interface, rules and table have fixed names.</summary>
internal sealed record WireGuardOptions
{
    /// <summary>The port that is used unless another one is asked for.</summary>
    public const int DefaultPort = 32442;

    /// <summary>Longest packet inside, unless set: what fits an Ethernet outside over IPv6.</summary>
    public const int DefaultMtu = 1420;

    /// <summary>Where datagrams come in; the IPv6 "any" address stands for IPv4 too.</summary>
    public required IPEndPoint Listen { get; init; }

    /// <summary>"host:port" that devices send to. Null: where it listens, or the host that users dial for SSH when that is every address.</summary>
    public string? Advertise { get; init; }

    /// <summary>Devices' addresses: one IPv4 range, one IPv6 range, or both. The silos say which, as of the next two.</summary>
    public IReadOnlyList<IPNetwork> Devices { get; init; } = [IPNetwork.Parse("100.124.0.0/16"), IPNetwork.Parse("fd62:6f72:6465:7230::/64")];

    /// <summary>Resources' addresses, likewise: what devices may dial.</summary>
    public IReadOnlyList<IPNetwork> Resources { get; init; } = [IPNetwork.Parse("100.126.0.0/16"), IPNetwork.Parse("fd62:6f72:6465:7231::/64")];

    /// <summary>What names of resources end with.</summary>
    public string Suffix { get; init; } = "relay";

    /// <summary>
    /// The gateway's own addresses inside, with which it reports errors, and the resolver's: in the range of devices, given to none of them.
    /// </summary>
    public IReadOnlyList<IPAddress> Own => [.. Devices.Select(OwnIn)];

    /// <summary>Resolvers that devices' other questions go to, split DNS; empty: those are refused.</summary>
    public IReadOnlyList<IPEndPoint> DnsForward { get; init; } = [];

    /// <summary>Longest packet inside, 1280 to 9000 bytes. TCP's segments follow from it.</summary>
    public int Mtu { get; init; } = DefaultMtu;

    /// <summary>Pairs of threads that carry packets, each with its own socket and queue of the interface. Default: one for two processors, at most 8.</summary>
    public int Queues { get; init; } = Math.Clamp(Environment.ProcessorCount / 2, 1, 8);

    /// <summary>False: without UDP_GRO, UDP_SEGMENT, TSO and checksums by others, as on a kernel that has none of them.</summary>
    public bool Offload { get; init; } = true;

    /// <summary>Flows at once, TCP and UDP each; one more is refused.</summary>
    public int MaxFlows { get; init; } = 65_536;

    /// <summary>Flows of one device at once, TCP and UDP each.</summary>
    public int MaxFlowsPerDevice { get; init; } = 4096;

    /// <summary>A UDP flow ends when nothing has moved for so long.</summary>
    public TimeSpan UdpIdle { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>How long a decision may take; then the flow is refused.</summary>
    public TimeSpan DecisionTimeout { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>The offset 100.100 (IPv4) or ::6464 (IPv6, the same two bytes) in a range.</summary>
    private static IPAddress OwnIn(IPNetwork range)
    {
        var bytes = range.BaseAddress.GetAddressBytes();
        bytes[^2] = bytes[^1] = 100;
        return new IPAddress(bytes);
    }

    /// <summary>True when the address is in one of the ranges.</summary>
    public static bool IsIn(IReadOnlyList<IPNetwork> ranges, IPAddress address) => ranges.Any(r => r.BaseAddress.AddressFamily == address.AddressFamily && r.Contains(address));

    /// <summary>The ranges of one family.</summary>
    public static IEnumerable<IPNetwork> Of(IReadOnlyList<IPNetwork> ranges, AddressFamily family) => ranges.Where(r => r.BaseAddress.AddressFamily == family);
}
