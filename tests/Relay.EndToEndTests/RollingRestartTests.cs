using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Relay.TestKit;
using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary>
/// Three silos in three regions, a gateway and a connector in each, live sessions over one and two silos, and new ones all the time.
/// </summary>
public sealed class RollingRestartTests(ITestOutputHelper output)
{
    private const int SigTerm = 15;
    private const int SigKill = 9;
    private const int SigCont = 18;
    private const int SigStop = 19;
    private const int DrainSeconds = 6;
    private const int Sites = 3;

    // RELAY_TEST_LIVE_SESSIONS=200 for the long form.
    private static readonly int s_live = int.Parse(Environment.GetEnvironmentVariable("RELAY_TEST_LIVE_SESSIONS") ?? "30", CultureInfo.InvariantCulture);

    [Fact]
    public async Task Silos_restart_one_by_one_and_only_their_own_sessions_end_and_only_at_the_limit()
    {
        await using var site = await Site.StartAsync(DrainSeconds);
        using var enough = new CancellationTokenSource();
        var failures = new ConcurrentQueue<string>();
        var opened = new int[Sites];
        var steady = Enumerable.Range(0, Sites).Select(g => site.OpenForeverAsync(g, opened, failures, enough.Token)).ToArray();
        var live = new List<Session>();
        var (cut, spared) = (0, 0);
        for (var silo = 0; silo < Sites; silo++)
        {
            while (live.Count < s_live)
                live.Add(await site.OpenAsync(live.Count % Sites, live.Count % 2 == 0 ? live.Count % Sites : (live.Count + 1) % Sites));
            var before = opened.ToArray();
            var address = site.Grid.Silos[silo].Grid;
            var rows = await site.RowsAsync(live);
            var affected = live.Where(s => rows[s.Id].Silo == address || rows[s.Id].ConnectorSilo == address).ToArray();

            site.Grid.Silos[silo].Process.Signal(SigTerm);
            await site.Grid.Silos[silo].Process.WaitForMessageAsync("silo draining");
            // At once: they have the limit together.
            await Task.WhenAll(live.Select(session => session.EchoAsync("while it drains")));
            if (affected.Length > 0)
                await site.Grid.Silos[silo].Process.WaitForMessageAsync("ending what is left");
            Assert.Equal(0, await site.Grid.Silos[silo].Process.WaitForExitAsync(TimeSpan.FromSeconds(90)));
            foreach (var session in affected)
            {
                Assert.NotEqual(0, await session.Process.WaitForExitAsync(TimeSpan.FromSeconds(60)));
                Assert.True(session.Process.Output.Contains("shutting down", StringComparison.Ordinal), $"{session.Process.Output}\n{site.Grid.Logs()}");
            }

            foreach (var session in live.Except(affected))
                await session.EchoAsync($"after silo {silo} has gone");

            await site.Grid.RestartSiloAsync(silo);
            rows = await site.RowsAsync(affected);
            Assert.All(affected, s => Assert.Equal($"ended: silo silo-{silo} shut down", rows[s.Id].Outcome));
            (cut, spared) = (cut + affected.Length, spared + live.Count - affected.Length);
            foreach (var session in affected)
                await session.DisposeAsync();
            live.RemoveAll(affected.Contains);

            // Every gateway has opened new ones during this restart; and what is near is used again.
            await site.UntilAsync(() => Enumerable.Range(0, Sites).All(g => opened[g] > before[g]) || !failures.IsEmpty, "new sessions through every gateway");
        }

        await enough.CancelAsync();
        await Task.WhenAll(steady);
        output.WriteLine($"{cut} sessions ended at the limit, {spared} went on, {opened.Sum()} new ones, {failures.Count} failed");
        Assert.True(failures.IsEmpty, $"{string.Join("\n", failures)}\n{site.Grid.Logs()}");
        Assert.True(cut > 0 && spared > 0, $"{cut} cut, {spared} spared");
        foreach (var session in live)
            await session.DisposeAsync();
    }

    [Fact]
    public async Task A_silo_that_is_killed_or_stands_still_costs_no_new_session()
    {
        await using var site = await Site.StartAsync(drainSeconds: 0);
        var start = Stopwatch.GetTimestamp();
        var frozen = site.Grid.Silos[1];
        frozen.Process.Signal(SigStop);
        await OpenOneAsync(site, start, "frozen");
        frozen.Process.Signal(SigCont);

        start = Stopwatch.GetTimestamp();
        site.Grid.Silos[2].Process.Signal(SigKill);
        await OpenOneAsync(site, start, "killed", gateway: 2);
    }

    // The gateway and the connector that used it both have to find out, and the user only waits.
    private async Task OpenOneAsync(Site site, long start, string what, int gateway = 1)
    {
        var result = await site.SshAsync(gateway, gateway, "true");
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{what}: the next session was open after {Stopwatch.GetElapsedTime(start).TotalSeconds:0.00} s"));
        Assert.True(result.ExitCode == 0, $"{what}: {result}\n{site.Grid.Logs()}");
    }

    private sealed record Row(string Silo, string ConnectorSilo, string Outcome);

    /// <summary>A live ssh whose command sends back each line it gets.</summary>
    private sealed class Session(RunningProcess process, string id) : IAsyncDisposable
    {
        private int _echoes;

        public RunningProcess Process { get; } = process;

        public string Id { get; } = id;

        public async Task EchoAsync(string when)
        {
            Assert.False(Process.HasExited, $"{Id} ended {when}: {Process.Output}");
            var line = $"echo-{_echoes++}";
            await Process.WriteLineAsync(line);
            await Process.WaitForLineAsync(line);
        }

        public ValueTask DisposeAsync() => Process.DisposeAsync();
    }

    private sealed class Site : IAsyncDisposable
    {
        private readonly List<GatewayProcess> _gateways = [];
        private SshdServer? _target;

        public RelayGrid Grid { get; private set; } = null!;

        public static async Task<Site> StartAsync(int drainSeconds)
        {
            var site = new Site { Grid = await RelayGrid.StartAsync(Sites, gatewaySilo: 0, drainSeconds, regions: true) };
            site._target = await TargetSshd.StartAsync(await site.Grid.RelayAsync("org", "ssh-ca"));
            site._gateways.Add(site.Grid.Gateway);
            for (var i = 0; i < Sites; i++)
            {
                if (i > 0)
                    site._gateways.Add(await site.Grid.StartGatewayAsync($"gateway-{i}", site.Grid.Silos[i], $"r{i}"));
                var agent = await site.Grid.StartRoamingConnectorAsync($"site-{i}", $"r{i}");
                foreach (var name in new[] { $"db-{i}", $"live-{i}" })
                {
                    await site.Grid.RelayAsync("socket", "create", "ssh", "--name", name, "--connector", $"site-{i}", "--host", "127.0.0.1", "--port", $"{site._target.Port}",
                        "--username", Environment.UserName, "--host-key", site._target.HostKey());
                }

                // Its own region's silo, all being as near.
                await agent.WaitForLineAsync($"\"server\":\"{site.Grid.Silos[i].Connectors}\"");
            }

            await site.Grid.SshConfigAsync();
            return site;
        }

        public async Task<Session> OpenAsync(int gateway, int target)
        {
            var process = RunningProcess.Start($"ssh {gateway} {target}", "ssh", Arguments(gateway, $"live-{target}", "echo started; exec cat"));
            await process.WaitForLineAsync("started");

            // Opened one at a time; the steady ones use another name.
            var opened = _gateways[gateway].Process.Output.Split('\n').Last(l => l.Contains("session opened", StringComparison.Ordinal) && l.Contains($"live-{target}\"", StringComparison.Ordinal));
            using var line = JsonDocument.Parse(opened);
            return new Session(process, line.RootElement.GetProperty("session").GetString()!);
        }

        public Task<CommandResult> SshAsync(int gateway, int target, string command) => Command.RunAsync("ssh", Arguments(gateway, $"db-{target}", command));

        public async Task OpenForeverAsync(int gateway, int[] opened, ConcurrentQueue<string> failures, CancellationToken enough)
        {
            while (!enough.IsCancellationRequested)
            {
                var result = await SshAsync(gateway, gateway, "true");
                if (result.ExitCode != 0)
                    failures.Enqueue($"gateway {gateway} after {opened[gateway]}: {result}");
                Interlocked.Increment(ref opened[gateway]);
            }
        }

        public async Task<Dictionary<string, Row>> RowsAsync(IReadOnlyCollection<Session> sessions)
        {
            var rows = new Dictionary<string, Row>();
            for (var i = 0; i < Sites; i++)
            {
                foreach (var row in (await Grid.RelayJsonAsync("session", "ls", "--socket", $"live-{i}", "--limit", "500")).GetProperty("list").EnumerateArray())
                {
                    string Field(string name) => row.GetProperty(name).GetString() ?? "";
                    rows[Field("session_id")] = new Row(Field("silo"), Field("connector_silo"), Field("outcome"));
                }
            }

            Assert.All(sessions, s => Assert.Contains(s.Id, rows.Keys));
            return rows;
        }

        public async Task UntilAsync(Func<bool> condition, string what)
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(90), TimeProvider.System);
            using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(50), TimeProvider.System);
            while (!condition())
            {
                Assert.False(limit.IsCancellationRequested, $"{what}\n{Grid.Logs()}");
                await timer.WaitForNextTickAsync(CancellationToken.None);
            }
        }

        public async ValueTask DisposeAsync()
        {
            if (_target is not null)
                await _target.DisposeAsync();
            await Grid.DisposeAsync();
        }

        private IEnumerable<string> Arguments(int gateway, string socket, string command)
        {
            var ssh = Path.Combine(Grid.Home, "ssh");
            var address = _gateways[gateway].SshAddress.Split(':');
            return ["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", $"UserKnownHostsFile={ssh}/known_hosts", "-o", "HostKeyAlias=relay-gateway",
                "-i", $"{ssh}/id_ed25519", "-p", address[1], $"{socket}@{address[0]}", command];
        }
    }
}
