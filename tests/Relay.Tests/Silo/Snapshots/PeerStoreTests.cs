using System.Net;
using Relay.Protocol.Grid;
using Relay.Silo.Hosting;
using Relay.Silo.Snapshots;
using Relay.Tests.Silo.Grid;
using Relay.Tests.Silo.Sessions;

namespace Relay.Tests.Silo.Snapshots;

/// <summary>A silo whose own way to the store is cut learns what was written, and confirms it, through one that reaches it.</summary>
public sealed class PeerStoreTests : IAsyncLifetime
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private TestSilo One { get; set; } = null!;

    private TestSilo Two { get; set; } = null!;

    private IStoreThroughPeer Peers => Two.Get<IStoreThroughPeer>();

    public async ValueTask InitializeAsync()
    {
        One = await TestSilo.StartAsync();
        Two = await TestSilo.StartAsync(One, "silo-2");
        await HeardAsync(() => Peers.HeadsAsync(Cancel));
    }

    public async ValueTask DisposeAsync()
    {
        await Two.DisposeAsync();
        await One.DisposeAsync();
    }

    [Fact]
    public async Task What_it_is_told_is_what_is_written()
    {
        var user = await One.AddUserAsync();
        var (socket, name) = await One.AddSocketAsync("10.9.8.7", 2200);
        await One.AllowAsync(user, socket);
        var version = await One.QueryAsync<long>("SELECT version FROM organization WHERE organization_id = @OrganizationId", new { One.OrganizationId });
        Assert.Equal(version, (await HeardAsync(() => Peers.HeadsAsync(Cancel))).Versions[One.OrganizationId]);
        var rows = await HeardAsync(() => Peers.RowsAsync(One.OrganizationId, Cancel));
        var snapshot = Two.Get<SnapshotLoader>().Build(rows!);
        var known = One.Get<SnapshotCell>().Find(One.OrganizationId)!;
        Assert.Equal(version, snapshot.Version);
        Assert.Equal(known.Users.Keys.Order(), snapshot.Users.Keys.Order());
        Assert.Equal(known.SocketsByName[name].Target!.Hosts, snapshot.SocketsByName[name].Target!.Hosts);
        Assert.Equal(known.UserCa.Fingerprint, snapshot.UserCa.Fingerprint);
        Assert.True(snapshot.Policies.Evaluate(new Relay.Policy.AccessRequest(
            snapshot.Users[user].Subject, snapshot.Sockets[socket].Facts, IPAddress.Loopback, null, TimeProvider.System.GetUtcNow(), new Relay.Policy.AccessAction.Connect("ubuntu"), Guid.NewGuid())).Allowed);
        Assert.Null(await HeardAsync(() => Peers.RowsAsync(Guid.NewGuid(), Cancel)));
    }

    [Fact]
    public async Task Orders_to_end_its_sessions_reach_it_and_only_its()
    {
        var mine = await LiveSessionScene.OpenAsync(Two, "gw-two");
        var theirs = await LiveSessionScene.OpenAsync(One, "gw-one");
        await using (var connection = await One.Database.DataSource.OpenConnectionAsync(Cancel))
        {
            // Without the signal, and read before the poll of a second would: the row is what counts.
            await Dapper.SqlMapper.ExecuteAsync(connection, "UPDATE session SET kill_requested_at = now(), killed_by = 'x@y' WHERE session_id = ANY(@ids)", new { ids = new[] { mine.Session, theirs.Session } });
        }

        var kills = await HeardAsync(() => Peers.KillsAsync(Cancel));
        Assert.DoesNotContain(kills, k => k.SessionId == theirs.Session);
        await mine.EndedAsync();
        Assert.Equal("killed by x@y", await mine.OutcomeAsync());
    }

    [Fact]
    public async Task It_confirms_through_the_peer_and_a_silo_confirms_for_nobody_else()
    {
        var self = Two.Get<SiloIdentity>().Incarnation;
        // What it confirms by itself, once it has started, must not come after.
        await Eventually.TrueAsync(async () => await One.QueryAsync<int>("SELECT count(*)::int FROM silo_snapshot WHERE silo_incarnation = @self", new { self }) == 1, "it has confirmed what it started with");
        await HeardAsync(() => Peers.AcknowledgeAsync(One.OrganizationId, 1, 4711, Cancel));
        Assert.Equal(4711, await One.QueryAsync<long>("SELECT version FROM silo_snapshot WHERE silo_incarnation = @self AND organization_id = @OrganizationId", new { self, One.OrganizationId }));

        var impostor = One.Peer(new GridPeer(GridRole.Silo, "silo-3"));
        using var refused = await impostor.PostAsync(
            GridRoutes.PeerAcknowledgement, new PeerAcknowledgement(self, One.OrganizationId, 1, 9999), PeerStoreJson.Default.PeerAcknowledgement);
        Assert.Equal(HttpStatusCode.Forbidden, refused.StatusCode);
        using var gateway = await One.Gateway().PostAsync(GridRoutes.PeerSnapshot, new PeerSnapshotRequest(One.OrganizationId), PeerStoreJson.Default.PeerSnapshotRequest);
        Assert.False(gateway.IsSuccessStatusCode);
    }

    // As soon as the second silo hears the first: when the machine stands still they lose sight of each other for a second.
    private static async Task<T> HeardAsync<T>(Func<Task<T>> ask)
    {
        T answer = default!;
        await Eventually.TrueAsync(
            async () =>
            {
                try
                {
                    answer = await ask();
                    return true;
                }
                catch (Relay.Silo.Storage.StoreUnavailableException)
                {
                    return false;
                }
            },
            "the second silo hears the first");
        return answer;
    }
}
