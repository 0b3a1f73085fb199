using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Relay.Protocol.Ssh;
using Relay.TestKit;

namespace Relay.Bench.Grid;

/// <summary>
/// Three silos; the one the connector is attached to is killed, or frozen, again and again: from the signal to the first byte through a
/// session that a user opens afterwards, and to the others declaring the silo dead.
/// </summary>
internal sealed class Failover : IBenchmark
{
    private const int Rounds = 5;
    private const int SigKill = 9;
    private const int SigStop = 19;
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(10);

    public string Prefix => "grid.failover_seconds";

    public async Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        await using var echo = TcpService.Echo();
        await using var live = await LiveGrid.StartAsync(3);
        await live.SendAsync(HttpMethod.Delete, "/policies/default-org-policy");
        var key = await live.AddUserAsync("someone@example.test");
        await live.Grid.RelayAsync("connector", "create", "--name", "site");
        var agent = live.Grid.StartAgent("site", await live.Grid.CreateTokenAsync("site"), [0, 1, 2]);
        await agent.WaitForMessageAsync("connected to relay");
        await live.AddForwardingSocketAsync("service", "site", new JsonObject { ["email"] = new JsonArray("someone@example.test") });
        await (await live.OpenAsync("service", key, echo.Port)).DisposeAsync();

        var killed = await MeasureAsync(live, key, echo.Port, SigKill, cancellationToken);
        var frozen = await MeasureAsync(live, key, echo.Port, SigStop, cancellationToken);
        report.Add("grid.failover_seconds", "s", Better.Lower, Median(killed.Select(k => k.Served)));
        Report.Note(Describe("killed", killed));
        Report.Note(Describe("frozen", frozen));
    }

    private static string Describe(string how, List<(double Served, double Dead)> rounds) => string.Create(CultureInfo.InvariantCulture,
        $"{how}: served again after {Median(rounds.Select(r => r.Served)):0.00} s (worst {rounds.Max(r => r.Served):0.00} s), declared dead after {Median(rounds.Select(r => r.Dead)):0.00} s (worst {rounds.Max(r => r.Dead):0.00} s)");

    private static double Median(IEnumerable<double> values) => values.Order().ElementAt(Rounds / 2);

    private static async Task<List<(double Served, double Dead)>> MeasureAsync(LiveGrid live, SshPrivateKey key, int echoPort, int signal, CancellationToken cancellationToken)
    {
        var rounds = new List<(double, double)>();
        while (rounds.Count < Rounds)
        {
            var holder = await HolderAsync(live);
            var silo = live.Grid.Silos[holder];
            var others = live.Grid.Silos.Where(s => s != silo).ToArray();
            var seen = others.Select(o => o.Process.Output.Length).ToArray();
            var start = Stopwatch.GetTimestamp();
            silo.Process.Signal(signal);
            var dead = DeclaredDeadAsync(others, seen, silo.Grid, start, cancellationToken);
            await ServedAsync(live, key, echoPort, start);
            var served = Stopwatch.GetElapsedTime(start).TotalSeconds;
            rounds.Add((served, await dead));

            // As it was before the next round. One that thaws ends by itself, and is not waited for.
            silo.Process.Signal(SigKill);
            await silo.Process.WaitForExitAsync();
            await live.Grid.RestartSiloAsync(holder);
        }

        return rounds;
    }

    private static async Task<int> HolderAsync(LiveGrid live)
    {
        var start = Stopwatch.GetTimestamp();
        while (true)
        {
            for (var silo = 0; silo < live.Grid.Silos.Count; silo++)
            {
                var metrics = await live.MetricsAsync(silo);
                if (metrics.Contains("\nrelay_connectors 1\n", StringComparison.Ordinal))
                    return silo;
            }

            if (Stopwatch.GetElapsedTime(start) > Patience)
                throw new InvalidOperationException("The connector is attached nowhere.");
            await Task.Delay(Look, TimeProvider.System);
        }
    }

    private static async Task ServedAsync(LiveGrid live, SshPrivateKey key, int echoPort, long start)
    {
        while (true)
        {
            try
            {
                await (await live.OpenAsync("service", key, echoPort)).DisposeAsync();
                return;
            }
            catch (Exception e) when (e is IOException or SshException or InvalidOperationException && Stopwatch.GetElapsedTime(start) < Patience)
            {
                await Task.Delay(Look, TimeProvider.System);
            }
        }
    }

    private static async Task<double> DeclaredDeadAsync(TestKit.Processes.RelayGrid.Silo[] others, int[] seen, string address, long start, CancellationToken cancellationToken)
    {
        while (!others.Where((o, i) => o.Process.Output[seen[i]..].Split('\n').Any(l => l.Contains("is declared dead", StringComparison.Ordinal) && l.Contains(address, StringComparison.Ordinal))).Any())
        {
            if (Stopwatch.GetElapsedTime(start) > Patience)
                throw new InvalidOperationException($"{address} is not declared dead.");
            await Task.Delay(Look, TimeProvider.System, cancellationToken);
        }

        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }
}
