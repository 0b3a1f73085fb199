using System.Diagnostics;
using System.Globalization;
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
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    public string Prefix => "grid.revocation_p99";

    public async Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        foreach (var silos in new[] { 1, 3, 5 })
        {
            var seconds = await MeasureAsync(silos, cancellationToken);
            seconds.Sort();
            Report.Note(string.Create(CultureInfo.InvariantCulture,
                $"{silos} silos, {seconds.Count} sessions: p50 {At(seconds, 0.5):0.000} s, p90 {At(seconds, 0.9):0.000} s, p99 {At(seconds, 0.99):0.000} s, worst {seconds[^1]:0.000} s"));
            if (silos == 3)
                report.Add("grid.revocation_p99", "s", Better.Lower, At(seconds, 0.99));
        }
    }

    private static double At(List<double> sorted, double quantile) => sorted[Math.Min(sorted.Count - 1, (int)(sorted.Count * quantile))];

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
        foreach (var session in people.SelectMany(p => p.Sessions))
        {
            if (session.Completion.IsCompleted)
                throw new InvalidOperationException($"A session ended by itself: {session.Error?.Message}");
        }

        var seconds = new List<double>();
        foreach (var person in people.Take(People / 2))
            seconds.AddRange(await EndAsync(live, HttpMethod.Put, $"/sockets/{person.Email.Split('@')[0]}/policies", Detach(person.Policy), person.Sessions, seconds.Count % silos));
        var rest = people.Skip(People / 2).ToArray();
        seconds.AddRange(await EndAsync(live, HttpMethod.Delete, "/groups/half", null, [.. rest.SelectMany(p => p.Sessions)], silos - 1));
        cancellationToken.ThrowIfCancellationRequested();
        return seconds;
    }

    private static JsonObject Detach(string policy) => new() { ["actions"] = new JsonArray(new JsonObject { ["action"] = "remove", ["id"] = policy }) };

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

    private static async Task<IEnumerable<double>> EndAsync(LiveGrid live, HttpMethod method, string path, JsonNode? body, List<SshConnection> sessions, int silo)
    {
        var start = Stopwatch.GetTimestamp();
        var ends = sessions.Select(async s =>
        {
            await s.Completion;
            return Stopwatch.GetElapsedTime(start).TotalSeconds;
        }).ToArray();
        var answer = await live.SendAsync(method, path, body, silo);
        var answered = Stopwatch.GetElapsedTime(start).TotalSeconds;
        var seconds = await Task.WhenAll(ends).WaitAsync(Limit);
        var revocation = answer["revocation"]!;
        Report.Note(string.Create(CultureInfo.InvariantCulture,
            $"  {sessions.Count,3} sessions: last one ended after {seconds.Max():0.000} s; answered after {answered:0.000} s: in force on {revocation["confirmed"]} of {revocation["silos"]} silos after {revocation["seconds"]} s"));
        return seconds;
    }
}
