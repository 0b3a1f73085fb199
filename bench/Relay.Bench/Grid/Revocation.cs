using System.Text.Json.Nodes;
using Relay.Protocol.Ssh;
using Relay.TestKit;

namespace Relay.Bench.Grid;

/// <summary>
/// 500 live sessions over 1, 3 and 5 silos, each with an open forward: from sending the write that takes their right to the end that the
/// client sees. Half of them go a person at a time, half with one write.
/// </summary>
internal sealed class Revocation : IBenchmark
{
    private const int People = 20;
    private const int SessionsEach = 25;
    private const int AtOnce = 8;

    public string Prefix => "grid.revocation_p99";

    public async Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        foreach (var silos in new[] { 1, 3, 5 })
        {
            var p99 = Withdrawal.Summarize(silos, "sessions", await MeasureAsync(silos, cancellationToken));
            if (silos == 3)
                report.Add("grid.revocation_p99", "s", Better.Lower, p99);
        }
    }

    private static async Task<List<double>> MeasureAsync(int silos, CancellationToken cancellationToken)
    {
        await using var echo = TcpService.Echo();
        await using var live = await LiveGrid.StartAsync(silos);
        await live.SendAsync(HttpMethod.Delete, "/policies/default-org-policy");
        for (var silo = 0; silo < silos; silo++)
            await live.Grid.StartConnectorAsync($"c{silo}", silo);
        var people = new List<(string Email, string Policy, List<SshConnection> Sessions)>();
        for (var i = 0; i < People; i++)
            people.Add(await AddPersonAsync(live, i, $"c{i % silos}", echo.Port));

        var seconds = new List<double>();
        foreach (var person in people.Take(People / 2))
            seconds.AddRange(await EndAsync(live, HttpMethod.Put, $"/sockets/{person.Email.Split('@')[0]}/policies", Withdrawal.Detach(person.Policy), person.Sessions, seconds.Count % silos));
        var rest = people.Skip(People / 2).ToArray();
        seconds.AddRange(await EndAsync(live, HttpMethod.Delete, "/groups/half", null, rest.SelectMany(p => p.Sessions), silos - 1));
        cancellationToken.ThrowIfCancellationRequested();
        return seconds;
    }

    private static async Task<(string, string, List<SshConnection>)> AddPersonAsync(LiveGrid live, int number, string connector, int echoPort)
    {
        var (name, email) = ($"p{number}", $"p{number}@example.test");
        var key = await live.AddUserAsync(email);

        // The second half belongs to one group: one write takes the right of all of them.
        var inGroup = number >= People / 2;
        if (number == People / 2)
            await live.SendAsync(HttpMethod.Post, "/groups", new JsonObject { ["display_name"] = "half" });
        if (inGroup)
            await live.SendAsync(HttpMethod.Put, $"/groups/half/members/{email}");
        await live.AddForwardingSocketAsync(name, connector, inGroup ? new JsonObject { ["group"] = new JsonArray("half") } : new JsonObject { ["email"] = new JsonArray(email) });
        var sessions = new List<SshConnection>();
        while (sessions.Count < SessionsEach)
            sessions.AddRange(await Task.WhenAll(Enumerable.Range(0, Math.Min(AtOnce, SessionsEach - sessions.Count)).Select(_ => live.OpenAsync(name, key, echoPort))));
        return (email, $"allow-{name}", sessions);
    }

    private static Task<double[]> EndAsync(LiveGrid live, HttpMethod method, string path, JsonNode? body, IEnumerable<SshConnection> sessions, int silo) =>
        Withdrawal.MeasureAsync(live, "sessions", sessions.Select(s => s.Completion), method, path, body, silo);
}
