using System.Globalization;
using Relay.TestKit;

namespace Relay.Bench.WireGuard;

/// <summary>
/// The whole data path on namespaces, beside the bare cable and the distribution's wireguard-go in the same run: iperf3 over TCP and UDP,
/// processor time on each side, and what a round trip takes longer.
/// </summary>
internal sealed class TunnelBenchmark : IBenchmark
{
    private static readonly string[] s_rows = ["wg.tcp1.up", "wg.tcp1.down", "wg.tcp4.up", "wg.tcp4.down", "wg.udp_pps", "wg.cpu_per_gib", "wg.tunnel_cpu_per_gib", "wg.added_latency_p99"];

    public string Prefix => "wg.";

    public async Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        if (!s_rows.Any(report.Wants))
            return;
        if (!NetworkNamespace.IsAvailable || !File.Exists("/usr/bin/iperf3") || !File.Exists("/usr/bin/wireguard-go"))
        {
            Report.Note("the data path is left out: it needs root, /dev/net/tun, iperf3 and wireguard-go");
            return;
        }

        var bare = await MeasureAsync("bare cable", TunnelWay.BareAsync);
        var peers = await MeasureAsync("wireguard-go both ends", TunnelWay.BetweenPeersAsync);
        var mixed = await MeasureAsync("wireguard-go to gateway", () => TunnelWay.ToGatewayAsync(ours: false));
        var ours = await MeasureAsync("our client to gateway", () => TunnelWay.ToGatewayAsync(ours: true));
        const string Peer = "wireguard-go both ends";
        report.Add("wg.tcp1.up", "Gbit/s", Better.Higher, ours.Up1.Gbits, Peer, peers.Up1.Gbits);
        report.Add("wg.tcp1.down", "Gbit/s", Better.Higher, ours.Down1.Gbits, Peer, peers.Down1.Gbits);
        report.Add("wg.tcp4.up", "Gbit/s", Better.Higher, ours.Up4.Gbits, Peer, peers.Up4.Gbits);
        report.Add("wg.tcp4.down", "Gbit/s", Better.Higher, ours.Down4.Gbits, Peer, peers.Down4.Gbits);
        report.Add("wg.udp_pps", "1/s", Better.Higher, ours.UdpPackets, Peer, peers.UdpPackets);
        report.Add("wg.cpu_per_gib", "s", Better.Lower, ours.Up1.ServerCpu, Peer, peers.Up1.ServerCpu);
        report.Add("wg.tunnel_cpu_per_gib", "s", Better.Lower, Math.Max(ours.Up1.TunnelCpu, ours.Down1.TunnelCpu), Peer, peers.Up1.ServerCpu);
        report.Add("wg.added_latency_p99", "ms", Better.Lower, ours.LatencyP99 - bare.LatencyP99, Peer, peers.LatencyP99 - bare.LatencyP99);
        Report.Note("the gateway ends the flow and carries its bytes to the target's connection besides, which wireguard-go leaves to the kernel; its tunnel's threads alone do what wireguard-go does");
        Report.Note($"wireguard-go's client to the gateway, up: {mixed.Up1.Gbits:0.00} Gbit/s, the gateway {mixed.Up1.ServerCpu:0.00} s for a GiB, the client {mixed.Up1.ClientCpu:0.00}");
    }

    private static async Task<TunnelFigures> MeasureAsync(string name, Func<Task<TunnelWay>> start)
    {
        await using var way = await start();
        var figures = await TunnelFigures.MeasureAsync(way);
        Report.Note(string.Create(CultureInfo.InvariantCulture,
            $"{name,-24} Gbit/s: 1 up {figures.Up1.Gbits:0.00} down {figures.Down1.Gbits:0.00}, 4 up {figures.Up4.Gbits:0.00} down {figures.Down4.Gbits:0.00}; udp {figures.UdpPackets:#,0}/s; ms p50 {figures.LatencyP50:0.000} p99 {figures.LatencyP99:0.000}"));
        Report.Note(string.Create(CultureInfo.InvariantCulture,
            $"{"",-24} s/GiB client|server: 1 up {figures.Up1.ClientCpu:0.00}|{figures.Up1.ServerCpu:0.00}, down {figures.Down1.ClientCpu:0.00}|{figures.Down1.ServerCpu:0.00}, 4 up {figures.Up4.ClientCpu:0.00}|{figures.Up4.ServerCpu:0.00}, down {figures.Down4.ClientCpu:0.00}|{figures.Down4.ServerCpu:0.00}"));
        return figures;
    }
}
