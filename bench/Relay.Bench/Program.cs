using Relay.Bench;
using Relay.Bench.Grains;
using Relay.Bench.Grid;
using Relay.Bench.Ssh;
using Relay.Bench.WireGuard;

// Relay.Bench [prefix]: runs the benchmarks whose rows start with the prefix (all without one), prints each row as it
// is known, and keeps them in .artifacts/bench/results.json.
IBenchmark[] all = [new LocalCalls(), new CrossSiloCalls(), new SshBenchmark(), new Attachments(), new CrossSilo(), new Failover(), new FalseDeaths(), new Revocation(), new SnapshotSwap(), new CoreBenchmark(), new TunnelBenchmark(), new FlowRevocation(), new FloodBenchmark()];

var prefix = args.Length > 0 ? args[0] : "";
var chosen = all.Where(b => b.Prefix.StartsWith(prefix, StringComparison.Ordinal) || prefix.StartsWith(b.Prefix, StringComparison.Ordinal)).ToArray();
if (chosen.Length == 0)
{
    Console.Error.WriteLine($"Error: no benchmark starts with '{prefix}'. There are: {string.Join(", ", all.Select(b => b.Prefix))}");
    return 2;
}

var report = new Report(prefix);
foreach (var benchmark in chosen)
    await benchmark.RunAsync(report, CancellationToken.None);
report.Save();
return 0;
