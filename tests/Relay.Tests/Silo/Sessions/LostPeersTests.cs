using System.Net;
using Microsoft.Extensions.Logging.Abstractions;
using Relay.Silo.Sessions;
using Relay.Silo.Snapshots;
using Relay.TestKit;
using Relay.Tests.Silo.Grid;

namespace Relay.Tests.Silo.Sessions;

/// <summary>Sessions whose gateway or silo is gone end with a reason.</summary>
public sealed class LostPeersTests(SiloFixture fixture) : IClassFixture<SiloFixture>
{
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan Silence = TimeSpan.FromMinutes(1);
    private readonly TestSilo _silo = fixture.Silo;

    [Fact]
    public async Task A_gateway_that_does_not_come_back_loses_its_sessions_and_others_keep_theirs()
    {
        var time = new ManualTimeProvider(TimeProvider.System.GetUtcNow());
        var gateways = new GatewaySubscriptions(time);
        // A cell of its own: what other tests write to the organization would have these sessions judged again.
        var snapshots = new SnapshotCell();
        var snapshot = _silo.Get<SnapshotCell>().Find(_silo.OrganizationId)!;
        snapshots.Swap(snapshot);
        using var registry = new SessionRegistry(
            _silo.Get<SessionStore>(), new SessionAuthorizer(snapshots, time), snapshots, gateways, _silo.Get<RevocationMetrics>(), time, NullLogger<SessionRegistry>.Instance);
        var (lost, kept) = (Session("gw-lost"), Session("gw-kept"));
        using var alive = gateways.Subscribe("gw-kept");
        using (gateways.Subscribe("gw-lost"))
        {
            registry.Add(lost, snapshot.Version);
            registry.Add(kept, snapshot.Version);
            time.Advance(GatewaySubscriptions.Grace * 2);
            Assert.Null(lost.Outcome);
        }

        time.Advance(GatewaySubscriptions.Grace);
        Assert.Equal("connection lost: the gateway is gone", lost.Outcome);
        await Eventually.TrueAsync(() => lost.Ended.IsCancellationRequested, "its streams are cut");
        Assert.Null(registry.Find(lost.Id, "gw-lost"));
        Assert.Same(kept, registry.Find(kept.Id, "gw-kept"));
        Assert.Null(registry.Find(kept.Id, "gw-lost"));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_session_whose_gateway_never_spoke_of_it_ends_and_one_with_a_stream_does_not(bool restarted)
    {
        var time = new ManualTimeProvider(TimeProvider.System.GetUtcNow());
        var gateways = new GatewaySubscriptions(time);
        var snapshots = new SnapshotCell();
        var snapshot = _silo.Get<SnapshotCell>().Find(_silo.OrganizationId)!;
        snapshots.Swap(snapshot);
        using var registry = new SessionRegistry(
            _silo.Get<SessionStore>(), new SessionAuthorizer(snapshots, time), snapshots, gateways, _silo.Get<RevocationMetrics>(), time, NullLogger<SessionRegistry>.Instance);
        using var control = gateways.Subscribe("gw");
        var (forgotten, streaming, spokenOf, streamed) = (Session("gw"), Session("gw"), Session("gw"), Session("gw"));
        foreach (var session in new[] { forgotten, streaming, spokenOf, streamed })
            registry.Add(session, snapshot.Version);
        Assert.True(streaming.TryBeginStream());
        Assert.True(streamed.TryBeginStream());
        if (restarted)
        {
            // It has spoken of all of them; then it died, and its successor claims one, and opens a stream for another it has just opened.
            foreach (var session in new[] { forgotten, streaming, spokenOf, streamed })
                Assert.NotNull(registry.Find(session.Id, "gw"));
            await registry.ReconcileAsync("gw", [spokenOf.Id], isOnlyStream: true, TestContext.Current.CancellationToken);
        }

        Assert.NotNull(registry.Find(spokenOf.Id, "gw"));
        Advance(DoubtfulSessions.Limit - TimeSpan.FromSeconds(1));
        Assert.Null(forgotten.Outcome);
        streamed.StreamClosed(null);
        Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(restarted ? "connection lost: the gateway restarted" : "connection lost: the gateway did not take the session up", forgotten.Outcome);
        // Its stream has only just ended: its gateway may still say how.
        Assert.Null(streamed.Outcome);
        Advance(DoubtfulSessions.Limit);
        Assert.NotNull(streamed.Outcome);
        Assert.Null(streaming.Outcome);
        Assert.Null(spokenOf.Outcome);

        void Advance(TimeSpan by)
        {
            time.Advance(by);
            registry.EndForgotten();
        }
    }

    [Theory]
    [InlineData("unknown", null, 60, true)]
    [InlineData("declared dead", "dead", 21, true)]
    [InlineData("declared dead a moment ago", "dead", 5, false)]
    [InlineData("silent", "active", 61, true)]
    [InlineData("alive", "active", 30, false)]
    public async Task The_rows_of_a_silo_that_is_gone_are_ended_and_those_of_one_that_lives_are_not(string silo, string? status, int silentSeconds, bool reaped)
    {
        var scene = await LiveSessionScene.OpenAsync(_silo, "gw-1");
        var incarnation = Guid.NewGuid();
        await _silo.WriteAsync("UPDATE session SET silo_incarnation = @incarnation, start_time = now() - interval '1 hour' WHERE session_id = @Session", new { incarnation, scene.Session });
        if (status is not null)
        {
            await _silo.WriteAsync(
                "INSERT INTO silo_member (address, incarnation, status, alive_at) VALUES (@address, @incarnation, @status, now() - make_interval(secs => @silentSeconds))",
                new { address = $"{incarnation}:1", incarnation, status, silentSeconds });
        }

        await _silo.Get<SessionStore>().ReapAsync(Grace, Silence, [], TestContext.Current.CancellationToken);
        Assert.True((await scene.OutcomeAsync()).StartsWith("connection lost: the silo", StringComparison.Ordinal) == reaped, silo);
        await _silo.WriteAsync("DELETE FROM silo_member WHERE incarnation = @incarnation", new { incarnation });
    }

    private LiveSession Session(string gateway)
    {
        var now = TimeProvider.System.GetUtcNow();
        // Added at the version it was decided at, so nothing about it is looked at again.
        return new LiveSession(
            new SessionFacts(
                Guid.NewGuid(), _silo.OrganizationId, _silo.AdministratorId, "admin@relay.local", Guid.NewGuid(), "s", "u", IPAddress.Loopback, gateway,
                new SessionCredential(SessionCredential.CertificateKind, "x", "x"), now),
            endsAt: null);
    }
}
