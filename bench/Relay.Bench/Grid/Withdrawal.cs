using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;

namespace Relay.Bench.Grid;

/// <summary>A write that takes a right while it is used, and when those who use it feel that.</summary>
internal static class Withdrawal
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    /// <summary>What takes a policy from a socket: the body of <c>PUT /sockets/{socket}/policies</c>.</summary>
    public static JsonObject Detach(string policy) => new() { ["actions"] = new JsonArray(new JsonObject { ["action"] = "remove", ["id"] = policy }) };

    /// <summary>Seconds from sending the write through that silo to each of these ends.</summary>
    /// <param name="what">What ends: "sessions".</param>
    /// <exception cref="InvalidOperationException">One had ended before.</exception>
    /// <exception cref="TimeoutException">One does not end.</exception>
    public static async Task<double[]> MeasureAsync(LiveGrid live, string what, IEnumerable<Task> completions, HttpMethod method, string path, JsonNode? body, int silo)
    {
        var all = completions.ToArray();
        if (all.FirstOrDefault(c => c.IsCompleted) is { } early)
            throw new InvalidOperationException($"One of the {what} had ended by itself.", early.Exception);
        var start = Stopwatch.GetTimestamp();
        var ends = all.Select(async completion =>
        {
            await completion;
            return Stopwatch.GetElapsedTime(start).TotalSeconds;
        }).ToArray();
        var answer = await live.SendAsync(method, path, body, silo);
        var answered = Stopwatch.GetElapsedTime(start).TotalSeconds;
        var seconds = await Task.WhenAll(ends).WaitAsync(Limit);
        var revocation = answer["revocation"]!;
        Report.Note(string.Create(CultureInfo.InvariantCulture,
            $"  {all.Length,3} {what}: last one ended after {seconds.Max():0.000} s; answered after {answered:0.000} s: in force on {revocation["confirmed"]} of {revocation["silos"]} silos after {revocation["seconds"]} s"));
        return seconds;
    }

    /// <summary>Says how the times are spread, and gives the 99th percentile.</summary>
    public static double Summarize(int silos, string what, List<double> seconds)
    {
        seconds.Sort();
        double At(double quantile) => seconds[Math.Min(seconds.Count - 1, (int)(seconds.Count * quantile))];
        Report.Note(string.Create(CultureInfo.InvariantCulture,
            $"{silos} silos, {seconds.Count} {what}: p50 {At(0.5):0.000} s, p90 {At(0.9):0.000} s, p99 {At(0.99):0.000} s, worst {seconds[^1]:0.000} s"));
        return At(0.99);
    }
}
