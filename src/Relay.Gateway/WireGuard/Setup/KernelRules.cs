using System.Net;
using System.Net.Sockets;
using System.Text;
using Relay.Gateway.WireGuard.Resolver;

namespace Relay.Gateway.WireGuard.Setup;

/// <summary>
/// What the kernel is told, as texts for <c>ip -batch -</c> and <c>nft -f -</c>. Everything has a name or a number of ours, so that it can be found
/// and removed whoever made it. Pure.
/// </summary>
/// <param name="Options">Ranges and MTU.</param>
/// <param name="HasIPv6">False: the kernel has IPv6 switched off, and it is left out inside.</param>
internal sealed record KernelRules(WireGuardOptions Options, bool HasIPv6)
{
    public const string Interface = "relay-wg";

    public const string Table = "relay_wg";

    /// <summary>Number of the routing table and priority of the rule that leads to it: before the main table, after the local one.</summary>
    public const int Number = WireGuardOptions.DefaultPort;

    private IEnumerable<IPNetwork> Devices => Options.Devices.Where(IsUsed);

    private IEnumerable<IPNetwork> Resources => Options.Resources.Where(IsUsed);

    private IEnumerable<IPAddress> Own => Options.Own.Where(a => HasIPv6 || !IsIPv6(a));

    /// <summary>
    /// For <c>ip -4 -batch -</c> or <c>ip -6 -batch -</c>, in this order. The interface gets no link-local address, so nothing is ever announced on
    /// it. What comes from it finds the resources' addresses to be local (AnyIP) and everything else prohibited; the main table only learns where
    /// devices are.
    /// </summary>
    public string Links(bool six)
    {
        var text = new StringBuilder();
        if (!six)
        {
            text.Append($"link set dev {Interface} addrgenmode none\n");
            text.Append($"link set dev {Interface} mtu {Options.Mtu} txqueuelen 1000 up\n");
        }

        foreach (var address in Own.Where(a => IsIPv6(a) == six)) text.Append($"address replace {address}/{(six ? "128" : "32")} dev {Interface}{(six ? " nodad" : "")}\n");
        foreach (var range in Devices.Where(r => IsIPv6(r.BaseAddress) == six)) text.Append($"route replace {range} dev {Interface}\n");
        foreach (var range in Resources.Where(r => IsIPv6(r.BaseAddress) == six)) text.Append($"route replace local {range} dev lo table {Number}\n");
        text.Append($"route replace prohibit default table {Number} metric 4096\n");
        text.Append($"rule add iif {Interface} lookup {Number} priority {Number}\n");
        return text.ToString();
    }

    /// <summary>
    /// For <c>nft -f -</c>, in one transaction: whatever the table was before, it is this now. Priority mangle: TPROXY has to be before routing.
    /// </summary>
    /// <param name="tcp">Ports of our listeners for connections, IPv4 and IPv6.</param>
    /// <param name="udp">Ports of our inlets for datagrams, likewise.</param>
    public string Filter((int Four, int Six) tcp, (int Four, int Six) udp)
    {
        var text = new StringBuilder();
        text.Append($"add table inet {Table}\ndelete table inet {Table}\ntable inet {Table} {{\n");
        text.Append("  chain from_devices {\n    type filter hook prerouting priority mangle; policy accept;\n");
        text.Append($"    iifname != \"{Interface}\" accept\n");
        foreach (var range in Resources)
        {
            var six = IsIPv6(range.BaseAddress);
            var (match, ip, loopback) = six ? ($"ip6 daddr {range}", "ip6", "[::1]") : ($"ip daddr {range}", "ip", "127.0.0.1");
            text.Append($"    {match} meta l4proto tcp tproxy {ip} to {loopback}:{(six ? tcp.Six : tcp.Four)} accept\n");
            text.Append($"    {match} meta l4proto udp tproxy {ip} to {loopback}:{(six ? udp.Six : udp.Four)} accept\n");
            text.Append(six
                ? $"    {match} icmpv6 type {{ destination-unreachable, packet-too-big, time-exceeded, parameter-problem }} accept\n"
                : $"    {match} icmp type {{ destination-unreachable, time-exceeded, parameter-problem }} accept\n");
        }

        foreach (var address in Own)
        {
            // The resolver; nothing else of ours is anybody's there.
            var (match, ip, loopback, six) = IsIPv6(address) ? ($"ip6 daddr {address}", "ip6", "[::1]", true) : ($"ip daddr {address}", "ip", "127.0.0.1", false);
            text.Append($"    {match} tcp dport {ResolverOptions.Port} tproxy {ip} to {loopback}:{(six ? tcp.Six : tcp.Four)} accept\n");
            text.Append($"    {match} udp dport {ResolverOptions.Port} tproxy {ip} to {loopback}:{(six ? udp.Six : udp.Four)} accept\n");
        }

        text.Append("    drop\n  }\n");
        // Nobody forwards through the interface, and no program of this machine reaches a device: what goes there are answers of resources, and errors.
        text.Append($"  chain across {{\n    type filter hook forward priority filter; policy accept;\n    iifname \"{Interface}\" drop\n    oifname \"{Interface}\" drop\n  }}\n");
        text.Append($"  chain to_devices {{\n    type filter hook output priority filter; policy accept;\n    oifname != \"{Interface}\" accept\n");
        foreach (var range in Resources) text.Append($"    {(IsIPv6(range.BaseAddress) ? "ip6" : "ip")} saddr {range} accept\n");
        foreach (var address in Own)
        {
            text.Append($"    {(IsIPv6(address) ? "ip6" : "ip")} saddr {address} meta l4proto {{ tcp, udp }} th sport {ResolverOptions.Port} accept\n");
            text.Append(IsIPv6(address)
                ? $"    ip6 saddr {address} icmpv6 type {{ destination-unreachable, packet-too-big, time-exceeded, parameter-problem }} accept\n"
                : $"    ip saddr {address} icmp type {{ destination-unreachable, time-exceeded, parameter-problem }} accept\n");
        }

        text.Append("    drop\n  }\n}\n");
        return text.ToString();
    }

    /// <summary>For <c>nft -f -</c>: the table is gone, whether it was there or not.</summary>
    public static string NoFilter => $"add table inet {Table}\ndelete table inet {Table}\n";

    private static bool IsIPv6(IPAddress address) => address.AddressFamily == AddressFamily.InterNetworkV6;

    private bool IsUsed(IPNetwork range) => HasIPv6 || !IsIPv6(range.BaseAddress);
}
