using Relay.Protocol.Grid;

namespace Relay.Tests.Gateway;

/// <summary>Where new sessions go while silos come, drain, freeze and go; and that what a session leaves behind is stored all the same.</summary>
public sealed class FailOverTests
{
    private static readonly string[] s_forever = ["sleep", "300"];

    [Fact]
    public async Task A_session_that_waits_for_a_frozen_silo_is_opened_at_another_one()
    {
        await using var host = await GatewayHost.StartAsync();
        await using var second = await JoinAsync(host);
        await UseAsync(host, host.Silo, second);
        host.Silo.Thawed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

        // Asked while nobody knows yet that it stands still.
        var result = await host.SshAsync("true");
        host.Silo.Thawed.SetResult();
        Assert.True(result.ExitCode == 0, result.Stderr);
        Assert.Single(second.Opened);
    }

    [Fact]
    public async Task A_draining_silo_gets_no_new_session_and_keeps_those_it_has()
    {
        await using var host = await GatewayHost.StartAsync();
        await using var second = await JoinAsync(host);
        await UseAsync(host, host.Silo, second);
        var live = host.SshAsync([], s_forever);
        await GatewayHost.UntilAsync(() => host.Gateway.SessionCount == 1);
        Assert.Single(host.Silo.Opened);
        second.Announce(Announcement(3, (host.Silo, SiloAnnouncement.Draining), (second, SiloAnnouncement.Active)));
        await GatewayHost.UntilAsync(() => Chosen(host) == second.Address);
        Assert.Equal(0, (await host.SshAsync("true")).ExitCode);
        Assert.Single(second.Opened);
        Assert.False(live.IsCompleted);
        host.Silo.EndSession(host.Sessions[0], "the limit is reached");
        Assert.Contains("the limit is reached", (await live).Stderr, StringComparison.Ordinal);
        await GatewayHost.UntilAsync(() => host.Silo.Ends.ContainsKey(host.Sessions[0]));
    }

    [Fact]
    public async Task A_silo_that_refuses_because_it_drains_costs_no_session()
    {
        await using var host = await GatewayHost.StartAsync();
        await using var second = await JoinAsync(host);
        await UseAsync(host, host.Silo, second);
        host.Silo.Draining = true;
        Assert.Equal(0, (await host.SshAsync("true")).ExitCode);
        Assert.Single(second.Opened);
    }

    [Fact]
    public async Task What_a_session_leaves_behind_is_stored_by_another_silo_when_its_own_is_gone()
    {
        await using var host = await GatewayHost.StartAsync();
        await using var second = await JoinAsync(host);
        await UseAsync(host, host.Silo, second);
        var live = host.SshAsync([], s_forever);
        await GatewayHost.UntilAsync(() => host.Gateway.SessionCount == 1 && host.Sshd!.Log.Contains("Starting session", StringComparison.Ordinal));
        await host.Silo.DisposeAsync();
        Assert.NotEqual(0, (await live).ExitCode);
        await GatewayHost.UntilAsync(() => second.Ends.ContainsKey(host.Sessions[0]));
        Assert.Contains(second.Chunks, c => c.Last);
    }

    [Fact]
    public async Task What_its_own_silo_has_no_place_for_is_stored_by_another_silo_and_the_session_goes_on()
    {
        await using var host = await GatewayHost.StartAsync();
        await using var second = await JoinAsync(host);
        await UseAsync(host, host.Silo, second);
        host.Silo.ChunkStatus = _ => 507;
        var result = await host.SshAsync("echo all of it; exit 3");
        Assert.True(result.ExitCode == 3, result.Stderr);
        await GatewayHost.UntilAsync(() => second.Chunks.Any(c => c.Last));
        Assert.Empty(host.Silo.Chunks);
        Assert.Equal(Enumerable.Range(0, second.Chunks.Count), second.Chunks.Select(c => c.Sequence));
    }

    [Fact]
    public async Task A_chunk_before_which_others_are_still_on_their_way_to_the_store_is_sent_again()
    {
        await using var host = await GatewayHost.StartAsync();
        var refused = 0;
        host.Silo.ChunkStatus = _ => Interlocked.Increment(ref refused) <= 4 ? 409 : 0;
        var result = await host.SshAsync("echo all of it; exit 3");
        Assert.True(result.ExitCode == 3, result.Stderr);
        await GatewayHost.UntilAsync(() => host.Silo.Chunks.Any(c => c.Last));
        Assert.Equal(Enumerable.Range(0, host.Silo.Chunks.Count), host.Silo.Chunks.Select(c => c.Sequence));
    }

    [Fact]
    public async Task Where_no_silo_has_a_place_for_its_recording_a_session_ends_at_once()
    {
        await using var host = await GatewayHost.StartAsync();
        await using var second = await JoinAsync(host);
        await UseAsync(host, host.Silo, second);
        host.Silo.ChunkStatus = second.ChunkStatus = _ => 507;
        Assert.NotEqual(0, (await host.SshAsync([], s_forever)).ExitCode);
        await GatewayHost.UntilAsync(() => host.Silo.Ends.ContainsKey(host.Sessions[0]));
        Assert.StartsWith("recording failed", host.Silo.Ends[host.Sessions[0]].Outcome, StringComparison.Ordinal);
    }

    /// <summary>A second silo with the first one's script, announced and met.</summary>
    private static async Task<ScriptedSilo> JoinAsync(GatewayHost host)
    {
        var second = await ScriptedSilo.StartAsync(host.Silo.Authority, host.Silo.HostKey);
        second.Identify = host.Silo.Identify;
        second.Open = host.Silo.Open;
        second.Target = host.Silo.Target;
        var both = Announcement(1, (host.Silo, SiloAnnouncement.Active), (second, SiloAnnouncement.Active));
        (host.Silo.Announced, second.Announced) = (both, both);
        host.Silo.Announce(both);
        await GatewayHost.UntilAsync(() => host.Gateway.Silos.Answering().Count == 2);
        return second;
    }

    /// <summary>Both are as near: it stays where it is told once, by sending the other away for a moment.</summary>
    private static async Task UseAsync(GatewayHost host, ScriptedSilo used, ScriptedSilo other)
    {
        used.Announce(Announcement(2, (used, SiloAnnouncement.Active), (other, SiloAnnouncement.Draining)));
        await GatewayHost.UntilAsync(() => Chosen(host) == used.Address);
        used.Announce(Announcement(2, (used, SiloAnnouncement.Active), (other, SiloAnnouncement.Active)));
    }

    private static string? Chosen(GatewayHost host) => host.Gateway.ChosenSilo;

    private static SiloAnnouncements Announcement(long version, params (ScriptedSilo Silo, string State)[] silos) =>
        new(version, [.. silos.Select(s => new SiloAnnouncement(s.Silo.Address, s.Silo.Address, null, s.State, 3600))]);
}
