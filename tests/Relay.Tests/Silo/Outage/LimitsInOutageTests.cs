using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using Npgsql;
using Relay.Silo.Authorities;
using Relay.Tests.Silo.Sessions;

namespace Relay.Tests.Silo.Outage;

/// <summary>What ends in time although the database is away: sessions, and requests that would wait for it.</summary>
public sealed class LimitsInOutageTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(Outage.Refused)]
    [InlineData(Outage.Swallowed)]
    public async Task A_session_ends_when_its_time_is_over_whether_it_began_before_or_in_the_outage(Outage how)
    {
        await using var outage = await OutageScene.StartAsync();
        using var control = await outage.Silo.Gateway("gw-1").ControlAsync();
        var live = await LiveSessionScene.OpenAsync(outage.Silo, "gw-1", ssh: """{"shell":{},"max_session_duration_seconds":4}""");
        var socket = await outage.Silo.QueryAsync<string>("SELECT name FROM socket WHERE socket_id = @Socket", new { live.Socket });
        await outage.CutAsync(how, known: false);
        var opened = await live.Gateway.OpenAsync(outage.Silo.Certificate(live.User).Blob, socket);
        Assert.True(opened.Allowed, opened.Message);

        var ended = new HashSet<Guid>();
        while (ended.Count < 2)
        {
            var order = (await control.NextOrderAsync())!;
            Assert.Equal("the session has reached its maximum duration", order.Reason);
            ended.Add(order.SessionId!.Value);
        }

        Assert.Equal([live.Session, opened.SessionId], ended);
        Assert.Equal(1, await outage.CountAsync("session WHERE session_id = @session AND end_time IS NULL", live.Session));
        await outage.HealAsync();
        foreach (var session in ended)
        {
            // The gateway is told first.
            await Eventually.TrueAsync(async () => await outage.CountAsync("session WHERE session_id = @session AND outcome <> ''", session) == 1, "its end is written");
            // It lasted as long as it might, by the silo's clock, and is recorded as what it was.
            var (outcome, seconds) = await outage.Silo.QueryAsync<(string, double)>(
                "SELECT outcome, extract(epoch FROM end_time - start_time)::float8 FROM session WHERE session_id = @session", new { session });
            Assert.Equal("maximum duration reached", outcome);
            Assert.True(seconds >= 3.9, $"{seconds} s");
            Assert.Equal(1, await outage.CountAsync("audit_event WHERE action_type = 'session.expired' AND resource_id = @session::text", session));
        }
    }

    [Fact]
    public async Task Requests_to_the_api_while_packets_to_the_database_vanish_are_all_answered_and_leave_nothing_behind()
    {
        await using var outage = await OutageScene.StartAsync();
        using var client = new HttpClient { BaseAddress = new Uri(outage.Silo.Host.ApiAddress), Timeout = TimeSpan.FromSeconds(30) };
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", await LoginAsync(outage));
        Assert.Equal(HttpStatusCode.OK, (await client.GetAsync("/api/v1/connectors", Cancel)).StatusCode);
        var before = outage.Accepted;

        // At once with the first lost packet: the silo does not know yet.
        await outage.CutAsync(Outage.Swallowed, known: false);
        await RefusedAsync(client, 300);
        Assert.False(outage.Health.Reachable);
        // The pool's, and one for each of them by which its statement is given up; not one for each request.
        Assert.InRange(outage.Accepted - before, 0, (2 * new NpgsqlConnectionStringBuilder(outage.Silo.Database.ConnectionString).MaxPoolSize) + 20);

        // Now that it is known nothing is tried for a request any more.
        before = outage.Accepted;
        await RefusedAsync(client, 1000);
        Assert.InRange(outage.Accepted - before, 0, 60);
        Assert.Equal(HttpStatusCode.OK, (await client.GetAsync("/healthz", Cancel)).StatusCode);

        // And there is a connection for whoever comes when it is back.
        outage.Forward();
        await outage.Health.WhenReachableAsync(Cancel);
        for (var i = 0; i < 50; i++)
            Assert.Equal(HttpStatusCode.OK, (await client.GetAsync("/api/v1/connectors", Cancel)).StatusCode);
    }

    private static async Task RefusedAsync(HttpClient client, int count)
    {
        var answers = await Task.WhenAll(Enumerable.Range(0, count).Select(i => (i % 3) switch
        {
            0 => client.GetAsync("/api/v1/connectors", Cancel),
            1 => client.PostAsJsonAsync("/api/v1/connectors", new { name = $"c{i}" }, Cancel),
            _ => client.PostAsync($"/api/v1/sessions/{Guid.NewGuid()}/kill", null, Cancel),
        }));
        foreach (var answer in answers)
        {
            using (answer)
            {
                var body = await answer.Content.ReadFromJsonAsync<JsonElement>(Cancel);
                Assert.Equal((HttpStatusCode.ServiceUnavailable, "store_unavailable"), (answer.StatusCode, body.GetProperty("code").GetString()));
                Assert.StartsWith("the database cannot be reached: ", body.GetProperty("error_message").GetString(), StringComparison.Ordinal);
            }
        }
    }

    private static async Task<string> LoginAsync(OutageScene outage)
    {
        using var client = new HttpClient { BaseAddress = new Uri(outage.Silo.Host.ApiAddress) };
        using var answer = await client.PostAsJsonAsync("/api/v1/login", new { email = GridBootstrap.AdministratorEmail, password = outage.Silo.Host.FirstPassword }, Cancel);
        return (await answer.Content.ReadFromJsonAsync<JsonElement>(Cancel)).GetProperty("token").GetString()!;
    }
}
