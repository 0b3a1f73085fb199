using Microsoft.Extensions.DependencyInjection;
using Orleans;
using Relay.Grains.Connectors;
using Relay.Grains.Sessions;
using Relay.Grains.Sockets;
using Relay.Tests.GrainHost.Cluster;
using Xunit;

namespace Relay.Tests.Grains;

public sealed class DomainGrainTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_attachment_with_the_highest_epoch_wins_in_any_order()
    {
        await using var setting = await GrainSetting.CreateAsync();
        var grain = setting.Grains.GetGrain<IConnectorGrain>(Guid.NewGuid().ToString("D"));
        Assert.Null(await grain.LocateAsync(Cancel));
        Assert.Equal(5, await grain.AttachedAsync(Attachment(5), Cancel));
        Assert.Equal(5, await grain.AttachedAsync(Attachment(4), Cancel));
        Assert.Equal(5, (await grain.LocateAsync(Cancel))!.Epoch);
        await grain.DetachedAsync(4, Cancel);
        Assert.Equal(5, (await grain.LocateAsync(Cancel))!.Epoch);
        await grain.DetachedAsync(5, Cancel);
        Assert.Null(await grain.LocateAsync(Cancel));
        Assert.Equal(5, await grain.AttachedAsync(Attachment(3), Cancel));
        Assert.Null(await grain.LocateAsync(Cancel));
        Assert.Equal(6, await grain.AttachedAsync(Attachment(6), Cancel));
        Assert.Equal("silo-6:1", (await grain.LocateAsync(Cancel))!.Silo);
    }

    [Fact]
    public async Task A_fresh_connector_grain_knows_what_the_lease_table_says()
    {
        var id = Guid.NewGuid();
        await using var setting = await GrainSetting.CreateAsync(s => s.AddSingleton<IConnectorLeases>(new Leases(id, Attachment(7))));
        Assert.Equal(7, (await setting.Grains.GetGrain<IConnectorGrain>($"{id:D}").LocateAsync(Cancel))!.Epoch);
        Assert.Null(await setting.Grains.GetGrain<IConnectorGrain>($"{Guid.NewGuid():D}").LocateAsync(Cancel));
    }

    [Fact]
    public async Task A_socket_tells_each_silo_what_the_others_have()
    {
        await using var setting = await GrainSetting.CreateAsync();
        var grain = setting.Grains.GetGrain<ISocketGrain>($"{Guid.NewGuid():D}");
        var (a, b, c) = (Guid.NewGuid(), Guid.NewGuid(), Guid.NewGuid());
        var way = Guid.NewGuid();
        Assert.Empty((await grain.ReportAsync(new SocketLoad(a, [new WayLoad(way, "h:1", 2)]), Cancel)).Ways);
        await grain.ReportAsync(new SocketLoad(b, [new WayLoad(way, "h:1", 1), new WayLoad(way, "h:2", 4)]), Cancel);
        Assert.Equal(new[] { ("h:1", 3), ("h:2", 4) }, await OthersAsync(c));

        // A report is in place of the one before, and a silo without streams has none.
        await grain.ReportAsync(new SocketLoad(b, [new WayLoad(way, "h:2", 1)]), Cancel);
        Assert.Equal(new[] { ("h:2", 1) }, await OthersAsync(a, new WayLoad(way, "h:1", 2)));
        await grain.ReportAsync(new SocketLoad(b, []), Cancel);
        Assert.Equal(new[] { ("h:1", 2) }, await OthersAsync(c));

        async Task<(string, int)[]> OthersAsync(Guid silo, params WayLoad[] mine) =>
            [.. (await grain.ReportAsync(new SocketLoad(silo, [.. mine]), Cancel)).Ways.Select(w => (w.Target, w.Streams)).Order()];
    }

    [Fact]
    public async Task Streams_that_nobody_reports_any_more_are_not_counted()
    {
        await using var setting = await GrainSetting.CreateAsync();
        var grain = setting.Grains.GetGrain<ISocketGrain>($"{Guid.NewGuid():D}");
        var (kept, lost) = (new SocketLoad(Guid.NewGuid(), [new WayLoad(Guid.NewGuid(), "h:1", 1)]), new SocketLoad(Guid.NewGuid(), [new WayLoad(Guid.NewGuid(), "h:2", 1)]));
        await grain.ReportAsync(lost, Cancel);
        await grain.ReportAsync(kept, Cancel);
        for (var i = 0; i < 3; i++)
        {
            setting.Time.Advance(ISocketGrain.ReportEvery);
            Assert.Equal("h:2", Assert.Single((await grain.ReportAsync(kept, Cancel)).Ways).Target);
        }

        setting.Time.Advance(ISocketGrain.ReportEvery);
        Assert.Empty((await grain.ReportAsync(kept, Cancel)).Ways);
    }

    [Fact]
    public async Task A_kill_reaches_the_owner_of_the_session()
    {
        await using var setting = await GrainSetting.CreateAsync();
        var id = Guid.NewGuid();
        var grain = setting.Grains.GetGrain<ISessionGrain>($"{id:D}");
        var owner = new Owner();
        var reference = setting.Grains.CreateObjectReference<ISessionObserver>(owner);
        Assert.Null(await grain.DescribeAsync(Cancel));
        Assert.Null(await grain.StartAsync(Start(id), reference, Cancel));
        await grain.ProgressAsync(new SessionProgress(2, 1, 3, 10, 20), Cancel);
        await grain.ProgressAsync(new SessionProgress(1, 1, 9, 1, 2), Cancel);
        Assert.Equal(3, (await grain.DescribeAsync(Cancel))!.Progress!.OpenStreams);
        Assert.Equal(SessionKillOutcome.Told, await grain.KillAsync(new SessionKill(id, "admin@relay.local", "enough"), Cancel));
        Assert.Equal(new SessionKill(id, "admin@relay.local", "enough"), Assert.Single(owner.Killed));
        owner.Gone = true;
        Assert.Equal(SessionKillOutcome.AlreadyEnded, await grain.KillAsync(new SessionKill(id, "other", "again"), Cancel));
        await grain.EndAsync(new SessionEnd("killed", new SessionProgress(3, 1, 0, 11, 22)), Cancel);
        await grain.EndAsync(new SessionEnd("something else", null), Cancel);
        var status = (await grain.DescribeAsync(Cancel))!;
        Assert.Equal(("killed", "admin@relay.local", 22L), (status.End!.Outcome, status.Kill!.By, status.Progress!.BytesDown));
        Assert.Equal(SessionKillOutcome.AlreadyEnded, await grain.KillAsync(new SessionKill(id, "late", "late"), Cancel));
        GC.KeepAlive(owner);
    }

    [Fact]
    public async Task A_kill_before_the_report_is_handed_to_the_owner_with_it()
    {
        await using var setting = await GrainSetting.CreateAsync();
        var id = Guid.NewGuid();
        var grain = setting.Grains.GetGrain<ISessionGrain>($"{id:D}");
        var kill = new SessionKill(id, "admin", "early");
        Assert.Equal(SessionKillOutcome.Unknown, await grain.KillAsync(kill, Cancel));
        var owner = new Owner();
        Assert.Equal(kill, await grain.StartAsync(Start(id), setting.Grains.CreateObjectReference<ISessionObserver>(owner), Cancel));
        GC.KeepAlive(owner);
    }

    [Fact]
    public async Task A_kill_whose_owner_is_gone_says_so()
    {
        await using var setting = await GrainSetting.CreateAsync();
        var id = Guid.NewGuid();
        var grain = setting.Grains.GetGrain<ISessionGrain>($"{id:D}");
        var owner = new Owner();
        var reference = setting.Grains.CreateObjectReference<ISessionObserver>(owner);
        await grain.StartAsync(Start(id), reference, Cancel);
        setting.Grains.DeleteObjectReference<ISessionObserver>(reference);
        Assert.Equal(SessionKillOutcome.OwnerUnreachable, await grain.KillAsync(new SessionKill(id, "admin", "late"), Cancel));
        GC.KeepAlive(owner);
    }

    [Fact]
    public async Task A_session_that_nobody_reports_leaves_by_itself()
    {
        await using var setting = await GrainSetting.CreateAsync();
        await setting.Grains.GetGrain<ISessionGrain>($"{Guid.NewGuid():D}").DescribeAsync(Cancel);
        Assert.Equal(1, setting.ActivationCount);
        await Eventually.TrueAsync(() => setting.ActivationCount == 0, setting.Time, ISessionGrain.ReportEvery, "it has left");
    }

    private static ConnectorAttachment Attachment(long epoch) => new(epoch, $"silo-{epoch}:1", Guid.NewGuid(), Guid.NewGuid(), "10.0.0.1", DateTimeOffset.UnixEpoch);

    private static SessionStart Start(Guid id) => new(
        id, Guid.NewGuid(), Guid.NewGuid(), "user@example.com", Guid.NewGuid(), "db", Guid.NewGuid(), "gw", "one:1", Guid.NewGuid(), DateTimeOffset.UnixEpoch, null);

    private sealed class Leases(Guid id, ConnectorAttachment held) : IConnectorLeases
    {
        public ValueTask<ConnectorAttachment?> ReadAsync(Guid connectorId, CancellationToken cancellationToken) => new(connectorId == id ? held : null);
    }

    private sealed class Owner : ISessionObserver
    {
        public List<SessionKill> Killed { get; } = [];

        public bool Gone { get; set; }

        public Task<bool> EndSessionAsync(SessionKill kill, CancellationToken cancellationToken)
        {
            if (Gone) return Task.FromResult(false);
            Killed.Add(kill);
            return Task.FromResult(true);
        }
    }
}
