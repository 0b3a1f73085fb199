using System.Net;
using System.Text;
using Relay.Gateway.Grid;
using Relay.Gateway.Hosting;
using Relay.Protocol.Grid;
using Relay.Protocol.Ssh;
using Relay.TestKit;

namespace Relay.Tests.Gateway;

/// <summary>How sessions end, and what stays of them: revocation, limits, recordings, silos that fail, shutdown.</summary>
public sealed class SessionEndTests
{
    private static readonly string[] s_forever = ["echo started; exec sleep 600"];

    [Fact]
    public async Task A_revoked_session_ends_at_once_and_the_user_reads_why()
    {
        await using var host = await GatewayHost.StartAsync();
        var ssh = host.SshAsync([], s_forever);
        await GatewayHost.UntilAsync(() => host.Sessions.Count == 1 && host.Gateway.SessionCount == 1 && host.Sshd!.Log.Contains("Starting session", StringComparison.Ordinal));
        host.Silo.EndSession(host.LastSession, "killed by admin@example.com");
        var result = await ssh;
        Assert.Equal(255, result.ExitCode);
        Assert.Contains("killed by admin@example.com", result.Stderr, StringComparison.Ordinal);
        Assert.Equal("killed by admin@example.com", (await host.EndOfAsync(host.LastSession)).Outcome);
        await GatewayHost.UntilAsync(() => host.Sshd!.Log.Contains("Received disconnect", StringComparison.Ordinal), () => host.Sshd!.Log);
    }

    [Fact]
    public async Task A_user_who_reads_nothing_is_ended_all_the_same()
    {
        await using var host = await GatewayHost.StartAsync();
        await using var user = await host.ConnectAsync();
        var channel = await user.OpenChannelAsync("session", default, GatewayHost.Deadline);
        using (var writer = new SshWriter())
        {
            writer.WriteString("cat /dev/zero");
            Assert.True(await channel.SendRequestAsync("exec", true, writer.ToArray(), GatewayHost.Deadline));
        }

        // Nobody reads the channel: its window fills, and the gateway's writer waits.
        await GatewayHost.UntilAsync(() => host.Sessions.Count == 1 && host.Gateway.SessionCount == 1);
        host.Silo.EndSession(host.LastSession, "killed");
        Assert.Equal("killed", (await host.EndOfAsync(host.LastSession)).Outcome);
        await user.Completion.WaitAsync(GatewayHost.Deadline);
    }

    [Fact]
    public async Task The_time_policy_gives_is_kept()
    {
        await using var host = await GatewayHost.StartAsync();
        host.EndsAt = TimeProvider.System.GetUtcNow().AddSeconds(2);
        var result = await host.SshAsync([], s_forever);
        Assert.Equal(255, result.ExitCode);
        Assert.Equal("time limit reached", (await host.EndOfAsync(host.LastSession)).Outcome);
    }

    // L32c: what must be recorded and can not be does not go on.
    [Fact]
    public async Task A_recording_that_fails_ends_the_session()
    {
        await using var host = await GatewayHost.StartAsync();
        host.Silo.ChunkStatus = _ => 422;
        var result = await host.SshAsync([], ["echo one; sleep 600"]);
        Assert.Equal(255, result.ExitCode);
        Assert.Contains("recording failed", result.Stderr, StringComparison.Ordinal);
        Assert.StartsWith("recording failed", (await host.EndOfAsync(host.LastSession)).Outcome);
        Assert.Equal(1, host.Gateway.Metrics.Count("relay_gateway_recording_failures_total"));
    }

    [Fact]
    public async Task A_silo_that_stumbles_costs_no_chunk()
    {
        await using var host = await GatewayHost.StartAsync();
        host.Silo.ChunkStatus = n => n <= 2 ? 503 : 0;
        Assert.Equal(0, (await host.SshAsync("echo recorded")).ExitCode);
        await host.EndOfAsync(host.LastSession);
        Assert.Equal("recorded\n", host.Silo.RecordedText(0));
    }

    [Fact]
    public async Task Everything_seen_is_in_the_recording_and_input_only_by_policy()
    {
        await using var host = await GatewayHost.StartAsync();
        Assert.Equal(0, (await host.SshAsync([], ["cat; echo err >&2"], Encoding.UTF8.GetBytes("grüße\n"))).ExitCode);
        await host.EndOfAsync(host.LastSession);
        Assert.Equal("err\ngrüße\n", string.Concat(host.Silo.RecordedText(0).Split('\n', StringSplitOptions.RemoveEmptyEntries).Order(StringComparer.Ordinal).Select(l => l + "\n")));
        Assert.Equal("", host.Silo.RecordedText(0, "i"));
        Assert.Equal("cat; echo err >&2", host.Silo.RecordedText(0, "m"));
        var chunks = host.Silo.Chunks.ToArray();
        Assert.Equal(Enumerable.Range(0, chunks.Length), chunks.Select(c => c.Sequence));
        Assert.True(chunks[^1].Last);
        Assert.Equal($"{SshdServer.User}@{GatewayHost.SocketName}", chunks[0].Title);

        host.Recording = new RecordingSettings(Enabled: true, Input: true);
        host.Silo.Chunks.Clear();
        Assert.Equal(0, (await host.SshAsync([], ["cat"], Encoding.UTF8.GetBytes("typed\n"))).ExitCode);
        await host.EndOfAsync(host.LastSession);
        Assert.Equal("typed\n", host.Silo.RecordedText(0, "i"));

        host.Recording = new RecordingSettings(Enabled: false, Input: false);
        host.Silo.Chunks.Clear();
        Assert.Equal(0, (await host.SshAsync("echo unrecorded")).ExitCode);
        await host.EndOfAsync(host.LastSession);
        Assert.Empty(host.Silo.Chunks);
    }

    [Fact]
    public async Task Two_hundred_megabytes_pass_unchanged_both_ways()
    {
        await using var host = await GatewayHost.StartAsync();
        var input = new byte[200_000_000];
        new Random(3).NextBytes(input);
        var result = await host.SshAsync([], ["cat"], input);
        Assert.Equal(0, result.ExitCode);
        Assert.True(input.AsSpan().SequenceEqual(result.Stdout));
        var end = await host.EndOfAsync(host.LastSession);
        Assert.Equal((200_000_000, 200_000_000), (end.BytesUp, end.BytesDown));
        Assert.InRange(host.Silo.Chunks.Sum(c => c.Gzip.Length), 1, 4_000_000);
    }

    [Fact]
    public async Task After_a_broken_control_stream_the_silo_learns_the_live_sessions_anew()
    {
        await using var host = await GatewayHost.StartAsync();
        var ssh = host.SshAsync([], s_forever);
        await GatewayHost.UntilAsync(() => host.Gateway.SessionCount == 1);
        var before = host.Silo.Subscriptions.Count;
        host.Silo.DropControlStreams();
        await GatewayHost.UntilAsync(() => host.Silo.Subscriptions.Count > before && host.Gateway.IsReady);
        Assert.Equal([host.LastSession], host.Silo.Subscriptions.Last().Sessions);
        Assert.Equal(1, host.Gateway.SessionCount);
        host.Silo.EndSession(host.LastSession, "killed after the break");
        Assert.Contains("killed after the break", (await ssh).Stderr, StringComparison.Ordinal);
    }

    [Fact]
    public async Task New_sessions_go_to_another_silo_when_the_first_is_gone()
    {
        await using var host = await GatewayHost.StartAsync();
        await using var second = await ScriptedSilo.StartAsync(host.Silo.Authority, host.Silo.HostKey);
        second.Identify = host.Silo.Identify;
        second.Open = host.Silo.Open;
        second.Target = host.Silo.Target;
        host.Silo.KnownSilos = [host.Silo.Address, second.Address];
        host.Silo.DropControlStreams();
        await GatewayHost.UntilAsync(() => host.Gateway.Silos.Answering().Any(s => s.Silo.Address == second.Address));
        await host.Silo.DisposeAsync();
        Assert.Equal(0, (await host.SshAsync("true")).ExitCode);
        Assert.Single(second.Opened);
        await GatewayHost.UntilAsync(() => second.Ends.Count == 1);
    }

    [Fact]
    public async Task Shutdown_ends_live_sessions_at_the_limit_with_the_reason()
    {
        await using var host = await GatewayHost.StartAsync(configure: o => o with { DrainTime = TimeSpan.FromMilliseconds(300) });
        var ssh = host.SshAsync([], s_forever);
        await GatewayHost.UntilAsync(() => host.Gateway.SessionCount == 1 && host.Sshd!.Log.Contains("Starting session", StringComparison.Ordinal));
        await host.StopAsync();
        var result = await ssh;
        Assert.Contains("shutting down", result.Stderr, StringComparison.Ordinal);
        Assert.Equal("gateway shut down", (await host.EndOfAsync(host.LastSession)).Outcome);
        Assert.False(host.Gateway.IsReady);
    }

    [Fact]
    public async Task The_certificate_is_kept_between_starts()
    {
        using var directory = new TempDir();
        await using var silo = await ScriptedSilo.StartAsync();
        for (var i = 0; i < 2; i++)
        {
            await using var gateway = Gateway(silo, directory);
            await gateway.StartAsync(GatewayHost.Deadline);
        }

        Assert.Equal(1, silo.Enrolments);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(directory.File("gateway-edge/key.pem")));

        // A grid with another CA: what was kept does not count.
        await using var other = await ScriptedSilo.StartAsync();
        await using var moved = Gateway(other, directory);
        await moved.StartAsync(GatewayHost.Deadline);
        Assert.Equal(1, other.Enrolments);
    }

    [Fact]
    public async Task A_certificate_near_its_end_is_renewed()
    {
        using var directory = new TempDir();
        await using var silo = await ScriptedSilo.StartAsync();
        foreach (var (hours, enrolments) in new[] { (0, 1), (10, 1), (20, 2) })
        {
            await using var gateway = new GatewayRuntime(
                Options(directory), new GatewayToken("token", silo.AuthorityPin, [silo.Address]), new Later(TimeSpan.FromHours(hours)), Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance);
            await gateway.StartAsync(GatewayHost.Deadline);
            Assert.Equal(enrolments, silo.Enrolments);
        }
    }

    private sealed class Later(TimeSpan by) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + by;
    }

    // L31: a silo of another grid is not trusted, whatever address it has.
    [Fact]
    public async Task A_silo_that_is_not_of_the_pinned_authority_gets_no_token()
    {
        using var directory = new TempDir();
        await using var silo = await ScriptedSilo.StartAsync();
        await using var foreign = await ScriptedSilo.StartAsync();
        await using var gateway = new GatewayRuntime(
            Options(directory), new GatewayToken("token", silo.AuthorityPin, [foreign.Address]), TimeProvider.System, Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance);
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(2));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => gateway.StartAsync(patience.Token));
        Assert.Equal(0, foreign.Enrolments);
    }

    [Fact]
    public async Task Health_readiness_and_metrics_are_told_over_http()
    {
        await using var host = await GatewayHost.StartAsync();
        await using var health = await HealthListener.StartAsync("127.0.0.1:0", host.Gateway, GatewayHost.Deadline);
        using var http = new HttpClient { BaseAddress = new Uri(health.Address) };
        Assert.Equal(HttpStatusCode.OK, (await http.GetAsync("/healthz", GatewayHost.Deadline)).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await http.GetAsync("/readyz", GatewayHost.Deadline)).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await http.GetAsync("/other", GatewayHost.Deadline)).StatusCode);
        Assert.Equal(0, (await host.SshAsync("true")).ExitCode);
        await host.EndOfAsync(host.LastSession);
        var metrics = await http.GetStringAsync("/metrics", GatewayHost.Deadline);
        Assert.Contains("relay_gateway_sessions_total{authorization=\"allowed\"} 1\n", metrics, StringComparison.Ordinal);
        Assert.Contains("relay_gateway_channel_decisions_total{demand=\"exec\",verdict=\"allowed\"} 1\n", metrics, StringComparison.Ordinal);
        await host.StopAsync();
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await http.GetAsync("/readyz", GatewayHost.Deadline)).StatusCode);
    }

    private static GatewayOptions Options(TempDir directory) =>
        new() { TokenFile = "unused", Name = "edge", SshListen = "127.0.0.1:0", StateDirectory = directory.Path };

    private static GatewayRuntime Gateway(ScriptedSilo silo, TempDir directory) =>
        new(Options(directory), new GatewayToken("token", silo.AuthorityPin, [silo.Address]), TimeProvider.System, Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance);
}
