using System.Globalization;
using System.Net;
using Relay.Bench.Ssh;
using Relay.Protocol.WireGuard;
using Relay.TestKit;

namespace Relay.Bench.WireGuard;

/// <summary>
/// Ten minutes of forged handshakes at a gateway that serves a real peer: what is left of the peer's throughput, beside the same flood at a port where
/// nobody listens (this machine makes the flood, too), and how far the gateway grows.
/// </summary>
internal sealed class FloodBenchmark : IBenchmark
{
    private const int Minutes = 10, ReferenceSeconds = 20, ClosedPort = 9;

    public string Prefix => "wg.flood";

    public async Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        if (!report.Wants("wg.flood_throughput") && !report.Wants("wg.flood_memory"))
            return;
        if (!NetworkNamespace.IsAvailable || !File.Exists("/usr/bin/iperf3"))
        {
            Report.Note("the flood is left out: it needs root, /dev/net/tun and iperf3");
            return;
        }

        // One thread of the runtime compiles, not a new one each time: they fill one of the C library's arenas after the other, which has nothing to do with the flood.
        await using var way = await TunnelWay.ToGatewayAsync(ours: true, new Dictionary<string, string?> { ["DOTNET_TC_BackgroundWorkerTimeoutMs"] = "7FFFFFFF" });
        await way.Server.RunAsync("ip", "route", "add", ForgedFlood.Sources, "via", TunnelWay.ClientOutside);
        var key = WireGuardPublicKey.TryParse(way.GatewayKey!, out var parsed) ? parsed : throw new InvalidOperationException("The gateway's key is none.");
        ForgedFlood At(int port) => new(way.Client, new IPEndPoint(IPAddress.Parse(TunnelWay.ServerOutside), port), key);
        await TunnelFigures.UpAsync(way, 3);
        var before = await ReferenceAsync();
        var under = new List<double>();
        var memory = new List<long>();
        long sent;
        await using (var flood = At(TunnelWay.TunnelPort))
        {
            for (var minute = 0; minute < Minutes; minute++)
            {
                under.Add(await TunnelFigures.UpAsync(way, 60));
                memory.Add(ProcessMemory.Bytes(way.ServerEnd!.Id));
            }

            sent = flood.Sent;
        }

        // What the flood sets up by being there at all is there after the first minute.
        var grown = memory[^1] - memory[0];
        var reference = (before + await ReferenceAsync()) / 2;
        report.Add("wg.flood_throughput", "Gbit/s", Better.Higher, under.Average(), "flood elsewhere", reference);
        report.Add("wg.flood_memory", "MiB", Better.Lower, grown / (double)(1 << 20));
        Report.Note(string.Create(CultureInfo.InvariantCulture, $"{sent:#,0} forged initiations in {Minutes} minutes, whose worst had {under.Min():0.00} Gbit/s; the gateway's memory after each: {string.Join(' ', memory.Select(m => m >> 20))} MiB"));

        async Task<double> ReferenceAsync()
        {
            await using var elsewhere = At(ClosedPort);
            return await TunnelFigures.UpAsync(way, ReferenceSeconds);
        }
    }
}
