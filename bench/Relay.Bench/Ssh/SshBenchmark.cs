using System.Diagnostics;
using Relay.TestKit.Processes;

namespace Relay.Bench.Ssh;

/// <summary>One SSH session through the grid beside OpenSSH's ProxyJump, in one run, turn by turn.</summary>
internal sealed class SshBenchmark : IBenchmark
{
    private const string Jump = "ProxyJump";
    private static readonly string[] RelayNames = ["gateway", "silo", "connector"]; // in the order of SshPaths.Relays
    private const int Rounds = 3;
    private const long TransferBytes = 1L << 30;
    private const int Keystrokes = 2000;
    private const int WarmUp = 5000;
    private const int FewIdle = 50;
    private const int ManyIdle = 150;

    public string Prefix => "ssh.";

    public async Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        await using var paths = await SshPaths.StartAsync();
        await RequireAsync(paths.ThroughRelay());
        await RequireAsync(paths.ThroughJump());
        foreach (var (name, cipher) in new[] { ("aes128gcm", "aes128-gcm@openssh.com"), ("chacha20", "chacha20-poly1305@openssh.com") })
        {
            await ThroughputAsync(report, paths, $"ssh.throughput.{name}.up", cipher, up: true);
            await ThroughputAsync(report, paths, $"ssh.throughput.{name}.down", cipher, up: false);
        }
        if (report.Wants("ssh.sessions_per_second"))
            await SessionsPerSecondAsync(report, paths);
        if (report.Wants("ssh.ttfb"))
            await FirstByteAsync(report, paths);
        if (report.Wants("ssh.echo_p99"))
            await EchoAsync(report, paths);
        if (report.Wants("ssh.idle_session_memory"))
            await IdleMemoryAsync(report);
    }

    private static async Task RequireAsync(string[] ssh)
    {
        var result = await Command.RunAsync("ssh", [.. ssh, "echo ready"]);
        if (result.Text != "ready\n")
            throw new InvalidOperationException($"ssh {string.Join(' ', ssh)}: {result}");
    }

    private static async Task ThroughputAsync(Report report, SshPaths paths, string name, string cipher, bool up)
    {
        if (!report.Wants(name))
            return;
        string[] options = ["-c", cipher];
        var (relay, jump, direct) = (new List<double>(), new List<double>(), new List<double>());
        var cpu = new List<double[]>();
        for (var round = 0; round < Rounds; round++)
        {
            var before = paths.Relays.Select(p => ProcessCpu.Seconds(p.Id)).ToArray();
            relay.Add(await MegabytesPerSecondAsync(paths.ThroughRelay(options), up));
            cpu.Add([.. paths.Relays.Select((p, i) => (ProcessCpu.Seconds(p.Id) - before[i]) * (1L << 30) / TransferBytes)]);
            jump.Add(await MegabytesPerSecondAsync(paths.ThroughJump(options), up));
            direct.Add(await MegabytesPerSecondAsync(paths.Direct(options), up));
        }
        report.Add(name, "MB/s", Better.Higher, Median(relay), Jump, Median(jump));
        Report.Note($"relay {Spread(relay)}, {Jump} {Spread(jump)}, direct {Spread(direct)}");
        var seconds = string.Join(", ", RelayNames.Select((who, i) => $"{who} {Median([.. cpu.Select(c => c[i])]):0.0}"));
        Report.Note($"processor seconds per GiB: {seconds}");
    }

    private static async Task<double> MegabytesPerSecondAsync(string[] ssh, bool up)
    {
        var quoted = string.Join(' ', ssh.Select(a => $"'{a}'"));
        var script = up
            ? $"head -c {TransferBytes} /dev/zero | ssh {quoted} 'cat > /dev/null'"
            : $"ssh {quoted} 'head -c {TransferBytes} /dev/zero' > /dev/null";
        var start = Stopwatch.GetTimestamp();
        var result = await Command.RunAsync("sh", ["-c", script]);
        var seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        return result.ExitCode == 0 ? TransferBytes / seconds / 1e6 : throw new InvalidOperationException($"{script}: {result}");
    }

    private static async Task SessionsPerSecondAsync(Report report, SshPaths paths)
    {
        const int Sessions = 48, AtOnce = 4;
        async Task<double> MeasureAsync(string[] ssh)
        {
            var start = Stopwatch.GetTimestamp();
            var next = 0;
            await Task.WhenAll(Enumerable.Range(0, AtOnce).Select(async _ =>
            {
                while (Interlocked.Increment(ref next) <= Sessions)
                    await RequireAsync(ssh);
            }));
            return Sessions / Stopwatch.GetElapsedTime(start).TotalSeconds;
        }
        var (relay, jump) = (new List<double>(), new List<double>());
        for (var round = 0; round < Rounds; round++)
        {
            relay.Add(await MeasureAsync(paths.ThroughRelay()));
            jump.Add(await MeasureAsync(paths.ThroughJump()));
        }
        report.Add("ssh.sessions_per_second", "1/s", Better.Higher, Median(relay), Jump, Median(jump));
        Report.Note($"{AtOnce} at a time; relay {Spread(relay)}, {Jump} {Spread(jump)}");
    }

    private static async Task FirstByteAsync(Report report, SshPaths paths)
    {
        const int Samples = 15;
        async Task<double> MeasureAsync(string[] ssh)
        {
            var start = Stopwatch.GetTimestamp();
            using var process = SshProcess.Start([.. ssh, "echo x; exec cat"]);
            await process.ReadAsync(1);
            return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }
        var (relay, jump) = (new List<double>(), new List<double>());
        for (var i = 0; i < Samples; i++)
        {
            relay.Add(await MeasureAsync(paths.ThroughRelay()));
            jump.Add(await MeasureAsync(paths.ThroughJump()));
        }
        report.Add("ssh.ttfb", "ms", Better.Lower, Median(relay), Jump, Median(jump));
        Report.Note($"from starting ssh to the first byte of the command's output; relay {Spread(relay)}, {Jump} {Spread(jump)}");
    }

    private static async Task EchoAsync(Report report, SshPaths paths)
    {
        async Task<List<double>> MeasureAsync(string[] ssh)
        {
            using var process = SshProcess.Start([.. ssh, "stty raw -echo; echo x; exec cat"]);
            await process.ReadAsync(1);
            await process.DrainAsync("x"u8.Length);
            var samples = new List<double>(Keystrokes);

            // The first ones find code that is still being compiled: an hour of typing does not.
            for (var i = -WarmUp; i < Keystrokes; i++)
            {
                var start = Stopwatch.GetTimestamp();
                await process.WriteAsync((byte)'k');
                await process.ReadAsync(1);
                if (i >= 0)
                    samples.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            }
            samples.Sort();
            return samples;
        }
        var relay = await MeasureAsync(paths.ThroughRelay("-tt"));
        var jump = await MeasureAsync(paths.ThroughJump("-tt"));
        report.Add("ssh.echo_p99", "ms", Better.Lower, At(relay, 0.99), Jump, At(jump, 0.99));
        Report.Note($"p50: relay {At(relay, 0.5):0.000} ms, {Jump} {At(jump, 0.5):0.000} ms; difference at p99 {At(relay, 0.99) - At(jump, 0.99):0.000} ms");
    }

    // What a session costs is what further ones add: a process that has just started grows with the first ones for other reasons, and
    // one that has had many before does not grow at all. So two readings on the way up, in processes that have served nobody yet.
    private static async Task IdleMemoryAsync(Report report)
    {
        await using var paths = await SshPaths.StartAsync();
        var relay = await PerSessionAsync(paths.ThroughRelay(), () => paths.Relays.Sum(p => ProcessMemory.Bytes(p.Id)));
        var jump = await PerSessionAsync(paths.ThroughJump(), () => ProcessMemory.TreeBytes(paths.Jump.ProcessId));
        report.Add("ssh.idle_session_memory", "KiB", Better.Lower, relay, Jump, jump);
        Report.Note($"private memory of gateway, silo and connector for each further idle session, from {FewIdle} to {ManyIdle}, against the jump host's sshd processes");
    }

    private static async Task<double> PerSessionAsync(string[] ssh, Func<long> memory)
    {
        var sessions = new List<SshProcess>();
        try
        {
            long few = 0;
            while (sessions.Count < ManyIdle)
            {
                var session = SshProcess.Start([.. ssh, "echo x; exec cat"]);
                sessions.Add(session);
                await session.ReadAsync(1);
                if (sessions.Count == FewIdle)
                    few = memory();
            }

            return (memory() - few) / 1024.0 / (ManyIdle - FewIdle);
        }
        finally
        {
            foreach (var session in sessions)
                session.Dispose();
        }
    }

    private static double Median(List<double> samples) => At([.. samples.Order()], 0.5);

    private static double At(List<double> sorted, double quantile) => sorted[Math.Min(sorted.Count - 1, (int)(sorted.Count * quantile))];

    private static string Spread(List<double> samples) => $"{samples.Min():0.#}–{samples.Max():0.#}";
}
