using System.Net;
using Relay.Grains.Sessions;
using Relay.Protocol.Grid;
using Relay.Silo.Hosting;
using Relay.Tests.Silo.Grid;

namespace Relay.Tests.Silo.Sessions;

/// <summary>Several silos on one database: kills, and gateways that change silo.</summary>
public sealed class KillTests
{
    // What the API of any silo writes.
    private const string Kill = """
        UPDATE session SET kill_requested_at = now(), killed_by = 'boss@example.com' WHERE session_id = @Session;
        SELECT pg_notify('relay_session_kill', @Session::text);
        """;

    [Fact]
    public async Task A_kill_ends_the_session_within_a_second_whatever_silo_it_comes_from()
    {
        await using var silo = await TestSilo.StartAsync();
        await using var other = await TestSilo.StartAsync(with: silo, "silo-2");
        using var target = new TargetServer();
        var scene = await LiveSessionScene.OpenAsync(silo, "gw-1", target.Port);
        using var control = await scene.Gateway.ControlAsync(scene.Session);
        await using var stream = await scene.Gateway.StreamAsync(scene.Session);
        var ordered = scene.OrderToEndAsync(control);
        await using (var command = other.Get<Npgsql.NpgsqlDataSource>().CreateCommand(Kill.Replace("@Session", $"'{scene.Session}'", StringComparison.Ordinal)))
            await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
        Assert.Contains("boss@example.com", await ordered, StringComparison.Ordinal);
        await Assert.ThrowsAnyAsync<IOException>(async () => await stream.ReadExactlyAsync(new byte[1], TestContext.Current.CancellationToken));
        await scene.EndedAsync();
        Assert.Equal("killed by boss@example.com", await scene.OutcomeAsync());
    }

    [Fact]
    public async Task A_kill_through_the_sessions_grain_reaches_the_silo_that_has_it()
    {
        await using var silo = await TestSilo.StartAsync();
        await using var other = await TestSilo.StartAsync(with: silo, "silo-2");
        var scene = await LiveSessionScene.OpenAsync(silo, "gw-1");
        using var control = await scene.Gateway.ControlAsync(scene.Session);
        var grain = other.Get<Orleans.IGrainFactory>().GetGrain<ISessionGrain>(scene.Session.ToString("D"));
        await Eventually.TrueAsync(async () => await grain.DescribeAsync(TestContext.Current.CancellationToken) is { Start.Gateway: "gw-1" }, "the session is known to its grain");
        var ordered = scene.OrderToEndAsync(control);
        Assert.Equal(SessionKillOutcome.Told, await grain.KillAsync(new SessionKill(scene.Session, "boss@example.com", "test"), TestContext.Current.CancellationToken));
        await ordered;
    }

    [Fact]
    public async Task A_gateway_takes_its_session_to_another_silo_and_is_told_which_ones_are_over()
    {
        await using var silo = await TestSilo.StartAsync();
        await using var other = await TestSilo.StartAsync(with: silo, "silo-2");
        var scene = await LiveSessionScene.OpenAsync(silo, "gw-1");
        var elsewhere = other.Gateway("gw-1");
        var gone = Guid.NewGuid();
        using var control = await elsewhere.ControlAsync(scene.Session, gone);
        var order = await control.NextOrderAsync();
        Assert.Equal(("end_session", gone), (order!.Type, order.SessionId!.Value));

        Assert.True((await elsewhere.AuthorizeAsync(scene.Session, new AuthorizeRequest("shell"))).Allowed);
        Assert.Equal(other.Get<SiloIdentity>().Incarnation, await silo.QueryAsync<Guid>("SELECT silo_incarnation FROM session WHERE session_id = @Session", new { scene.Session }));

        // It is revoked there, where it is now.
        await other.WriteAsync("DELETE FROM policy WHERE policy_id = @Policy", new { scene.Policy });
        await scene.OrderToEndAsync(control);
        await scene.EndedAsync();
        Assert.StartsWith("access revoked", await scene.OutcomeAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_session_that_was_revoked_meanwhile_is_not_taken_over()
    {
        await using var silo = await TestSilo.StartAsync();
        var scene = await LiveSessionScene.OpenAsync(silo, "gw-1");
        await silo.Host.DisposeAsync();
        await using (var command = silo.Database.DataSource.CreateCommand(
            $"UPDATE session SET end_time = NULL, outcome = '' WHERE session_id = '{scene.Session}'; DELETE FROM policy WHERE policy_id = '{scene.Policy}'; UPDATE organization SET version = version + 1"))
            await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
        await using var other = await TestSilo.StartAsync(with: silo, "silo-2");
        using var response = await other.Gateway("gw-1").PostAsync(GridRoutes.Authorize(scene.Session), new AuthorizeRequest("shell"), GridJson.Default.AuthorizeRequest);
        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
    }

    [Fact]
    public async Task A_silo_that_stops_tells_its_gateways_and_ends_its_rows()
    {
        await using var silo = await TestSilo.StartAsync();
        var other = await TestSilo.StartAsync(with: silo, "silo-2");
        var scene = await LiveSessionScene.OpenAsync(other, "gw-1");
        using var control = await scene.Gateway.ControlAsync(scene.Session);
        var ordered = scene.OrderToEndAsync(control);
        await other.Host.DisposeAsync();
        await ordered;
        Assert.Equal("ended: silo silo-2 shut down", await silo.QueryAsync<string>("SELECT outcome FROM session WHERE session_id = @Session", new { scene.Session }));
    }
}
