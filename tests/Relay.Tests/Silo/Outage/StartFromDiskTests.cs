using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Microsoft.Extensions.Hosting;
using Relay.Protocol.Grid;
using Relay.Silo.Hosting;
using Relay.Silo.LocalSnapshots;
using Relay.Silo.Sessions;
using Relay.Silo.Snapshots;
using Relay.Tests.Silo.Sessions;

namespace Relay.Tests.Silo.Outage;

/// <summary>Silos that are started while the database is away, with a last snapshot on their disk.</summary>
public sealed class StartFromDiskTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task It_admits_and_refuses_as_before_changes_nothing_and_joins_with_all_its_history_when_the_database_is_back()
    {
        await using var before = await OutageScene.StartAsync();
        var live = await LiveSessionScene.OpenAsync(before.Silo, "gw-1", ssh: """{"shell":{}}""");
        var socket = await before.Silo.QueryAsync<string>("SELECT name FROM socket WHERE socket_id = @Socket", new { live.Socket });
        await before.Silo.ApplyAsync("INSERT INTO gateway_name (name, token_name, certificates_after) VALUES ('gw-revoked', 'revoked', now())");
        await before.KeptAsync();
        await before.CutAsync(Outage.Refused);
        var version = before.Silo.Get<SnapshotCell>().Find(before.Silo.OrganizationId)!.Version;

        await using var outage = await before.StartFromDiskAsync("silo-2");
        var health = await outage.HealthAsync();
        Assert.StartsWith("read-only: started without the store at ", health.GetProperty("status").GetString(), StringComparison.Ordinal);
        Assert.Contains($"(version {version})", health.GetProperty("status").GetString(), StringComparison.Ordinal);
        Assert.Equal(version, health.GetProperty("read_only").GetProperty("versions").GetProperty($"{before.Silo.OrganizationId}").GetInt64());
        using var api = new HttpClient { BaseAddress = new Uri(outage.Silo.Host.ApiAddress) };
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await api.GetAsync("/readyz", Cancel)).StatusCode);
        using (var refused = await api.PostAsJsonAsync("/api/v1/login", new { email = "a@b.c", password = "p" }, Cancel))
            Assert.Equal("store_unavailable", (await refused.Content.ReadFromJsonAsync<JsonElement>(Cancel)).GetProperty("code").GetString());

        // A gateway comes, a user is known, one socket is allowed and another is not, the session is recorded and ends.
        var gateway = outage.Silo.Gateway("gw-1");
        using (var control = await gateway.ControlAsync())
            Assert.NotNull(await control.NextAsync());
        using (var revoked = await outage.Silo.Gateway("gw-revoked").PostAsync(GridRoutes.Identify, new IdentifyRequest("", "192.0.2.1", true), GridJson.Default.IdentifyRequest))
            Assert.Equal(HttpStatusCode.Forbidden, revoked.StatusCode);
        var opened = await gateway.OpenAsync(outage.Silo.Certificate(live.User).Blob, socket);
        Assert.True(opened.Allowed, opened.Message);
        Assert.NotNull(opened.Upstream!.PrivateKey);
        var session = opened.SessionId;
        Assert.True((await gateway.AuthorizeAsync(session, new AuthorizeRequest("shell", null, null, null))).Allowed);
        Assert.False((await gateway.AuthorizeAsync(session, new AuthorizeRequest("exec", "id", null, null))).Allowed);
        Assert.False((await gateway.OpenAsync(outage.Silo.Certificate(live.User).Blob, "no-such-socket")).Allowed);
        Assert.Equal((HttpStatusCode.NoContent, null), await OutageScene.SendChunkAsync(gateway, session, 0, "during\n", last: true));
        Assert.Equal(HttpStatusCode.NoContent, (await gateway.EndAsync(session, "closed by user", 3, 4)).StatusCode);
        var staying = (await gateway.OpenAsync(outage.Silo.Certificate(live.User).Blob, socket)).SessionId;
        Assert.Equal(0, await before.CountAsync("session WHERE session_id = @session", session));

        await outage.HealAsync();
        var incarnation = outage.Silo.Get<SiloIdentity>().Incarnation;
        await Eventually.TrueAsync(
            async () => await before.CountAsync("silo_member WHERE incarnation = @session AND status = 'active'", incarnation) == 1
                && await before.CountAsync("silo_fence WHERE incarnation = @session AND cardinality(voters) > 0", incarnation) == 1, "it is a member");
        await Eventually.TrueAsync(async () => (await outage.HealthAsync()).GetProperty("status").GetString() == "ok", "it says so");
        Assert.Equal(("closed by user", "ready", 3), await before.Silo.QueryAsync<(string, string, int)>("SELECT outcome, recording_state, bytes_up::int FROM session WHERE session_id = @session", new { session }));
        Assert.Equal("during\n", await outage.ReadRecordingAsync(session));
        Assert.Equal(1, await before.CountAsync("audit_event WHERE action_type = 'session.open' AND detail->>'session_id' = @session::text", session));

        // The session that began on a silo that was no member lives on, and what is written now reaches it.
        Assert.Equal("", await before.Silo.QueryAsync<string>("SELECT outcome FROM session WHERE session_id = @staying", new { staying }));
        await before.Silo.WriteAsync("DELETE FROM policy WHERE policy_id = @Policy", new { live.Policy });
        await Eventually.TrueAsync(async () => (await before.Silo.QueryAsync<string>("SELECT outcome FROM session WHERE session_id = @staying", new { staying })).StartsWith("access revoked", StringComparison.Ordinal), "it is revoked");
        Assert.Equal(1, await before.CountAsync("silo_snapshot WHERE silo_incarnation = @session AND version > 0", incarnation));
    }

    [Fact]
    public async Task What_was_taken_away_while_it_was_not_running_its_peers_tell_it_at_the_start_and_later()
    {
        await using var peer = await OutageScene.StartAsync();
        await using (var former = await OutageScene.StartAsync(with: peer, name: "silo-2"))
        {
            // Each knows of the other, and says so on its disk.
            await Eventually.TrueAsync(() => former.Silo.Get<Relay.GrainHost.Membership.IMembership>().ActiveSilos.Length == 2, "both are there");
            await former.KeptAsync();
            var one = await LiveSessionScene.OpenAsync(peer.Silo, "gw-1");
            var two = await LiveSessionScene.OpenAsync(peer.Silo, "gw-1");
            await Eventually.TrueAsync(() => former.Silo.Get<SnapshotCell>().Find(peer.Silo.OrganizationId)!.Policies.Count == peer.Silo.Get<SnapshotCell>().Find(peer.Silo.OrganizationId)!.Policies.Count, "both decide alike");
            await former.KeptAsync();

            // What silo-3 has is from before this.
            await using var outage = await DiskBeforeAsync(former, async () => await peer.Silo.ApplyAsync("DELETE FROM policy WHERE policy_id = @Policy", new { one.Policy }));
            var names = new[] { one, two }.Select(s => peer.Silo.QueryAsync<string>("SELECT name FROM socket WHERE socket_id = @Socket", new { s.Socket })).ToArray();
            var gateway = outage.Silo.Gateway("gw-1");
            Assert.False((await gateway.OpenAsync(outage.Silo.Certificate(one.User).Blob, await names[0])).Allowed);
            var opened = await gateway.OpenAsync(outage.Silo.Certificate(two.User).Blob, await names[1]);
            Assert.True(opened.Allowed, opened.Message);

            // Only this silo is cut off: the others go on changing things.
            await peer.Silo.ApplyAsync("DELETE FROM policy WHERE policy_id = @Policy", new { two.Policy });
            await Eventually.TrueAsync(() => outage.Silo.Get<SessionRegistry>().Find(opened.SessionId) is null, "the session is over");
            Assert.False((await gateway.OpenAsync(outage.Silo.Certificate(two.User).Blob, await names[1])).Allowed);
            Assert.True(outage.Silo.Get<ReadOnlyStart>().IsActive);
        }
    }

    [Fact]
    public async Task What_a_silo_has_acknowledged_its_next_start_knows_or_does_not_decide()
    {
        await using var silo = await OutageScene.StartAsync();
        var live = await LiveSessionScene.OpenAsync(silo.Silo, "gw-1");
        await silo.KeptAsync();
        var folder = silo.Silo.Get<LocalSnapshotKeeper>().Folder!;
        var incarnation = silo.Silo.Get<SiloIdentity>().Incarnation;
        for (var i = 0; i < 20; i++)
        {
            await silo.Silo.WriteAsync("UPDATE policy SET name = name || 'x' WHERE policy_id = @Policy", new { live.Policy });
            var version = await silo.Silo.QueryAsync<long>("SELECT version FROM organization");
            await Eventually.TrueAsync(async () => await silo.Silo.QueryAsync<long>("SELECT version FROM silo_snapshot WHERE silo_incarnation = @incarnation", new { incarnation }) == version, "it is acknowledged");
            try
            {
                Assert.Equal(version, Assert.Single(folder.Read().Organizations).Rows.Head.Version);
            }
            catch (InvalidDataException e)
            {
                Assert.Contains("was in force already", e.Message, StringComparison.Ordinal);
            }
        }
    }

    [Fact]
    public async Task A_database_that_comes_back_as_another_grids_ends_the_silo()
    {
        await using var before = await OutageScene.StartAsync();
        await before.KeptAsync();
        await before.CutAsync(Outage.Refused);
        await using var outage = await before.StartFromDiskAsync("silo-2");
        var stopping = new TaskCompletionSource();
        await using var registration = outage.Silo.Get<IHostApplicationLifetime>().ApplicationStopping.Register(stopping.SetResult);
        await before.Silo.QueryAsync<int>("UPDATE grid SET grid_id = gen_random_uuid() RETURNING 1");
        outage.Forward();
        await stopping.Task.WaitAsync(TimeSpan.FromSeconds(30), Cancel);
        Assert.True(outage.Silo.Get<ReadOnlyStart>().IsActive);
        Assert.Equal(0, await before.CountAsync("silo_member WHERE incarnation = @session", outage.Silo.Get<SiloIdentity>().Incarnation));
        Environment.ExitCode = 0;
    }

    private static async Task<OutageScene> DiskBeforeAsync(OutageScene former, Func<Task> change)
    {
        var options = former.Silo.Get<SiloOptions>();
        using var copy = new Relay.TestKit.TempDir("relay-disk-");
        foreach (var file in Directory.GetFiles(options.SnapshotDirectory))
            File.Copy(file, copy.File(Path.GetFileName(file)));
        await change();
        var next = options with { Name = "silo-3" };
        Directory.CreateDirectory(next.SnapshotDirectory);
        foreach (var file in Directory.GetFiles(copy.Path))
            File.Copy(file, Path.Combine(next.SnapshotDirectory, Path.GetFileName(file)));
        return await former.StartFromDiskAsync("silo-3", copyNow: false);
    }
}
