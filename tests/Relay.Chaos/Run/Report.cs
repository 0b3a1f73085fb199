using System.Globalization;
using System.Text;
using System.Text.Json;
using Relay.Chaos.Checks;
using Relay.Chaos.History;

namespace Relay.Chaos.Run;

/// <summary>What is printed at the end.</summary>
internal static class Report
{
    private const int Shown = 12;
    private const int Excerpt = 14;

    /// <param name="file">Where the history is.</param>
    public static string Write(string file, IReadOnlyList<HistoryEvent> history, IReadOnlyList<CheckResult> results)
    {
        var run = history.FirstOrDefault(e => e.Kind == Kinds.RunBegin);
        var seed = run?.Id ?? 0;
        var text = new StringBuilder();
        void Line(string line = "") => text.Append(line).Append('\n');
        var violations = results.SelectMany(r => r.Violations).OrderBy(v => v.At).ToList();
        foreach (var violation in violations.Take(Shown))
        {
            Line($"VIOLATION of \"{violation.Invariant}\" at {violation.At / 1000:0.000} s, seed {seed}");
            Line($"  {violation.Text}");
            foreach (var e in violation.Excerpt.Take(Excerpt))
                Line($"    {JsonSerializer.Serialize(e, HistoryJson.Default.HistoryEvent)}");
            Line($"  repeat: {Repeat(seed, RoundAt(history, violation.At), run?.Reason)}");
            Line();
        }

        if (violations.Count > Shown)
            Line($"… and {violations.Count - Shown} more; the history is {file}\n");

        Line($"{"fault",-22} {"injected",8} {"recovery p50",13} {"p99",8}");
        foreach (var kind in history.Where(e => e.Kind == Kinds.FaultBegin).GroupBy(e => e.Fault!).OrderBy(g => g.Key, StringComparer.Ordinal))
        {
            double[] seconds = [.. history.Where(e => e.Kind == Kinds.Recovered && e.Fault == kind.Key).Select(e => e.Seconds!.Value).Order()];
            Line($"{kind.Key,-22} {kind.Count(),8} {Percentile(seconds, 50),11} s {Percentile(seconds, 99),6} s");
        }

        Line();
        Line($"{"invariant",-38} {"checked",8} {"violations",11}");
        foreach (var result in results)
            Line($"{result.Invariant,-38} {result.Checked,8} {result.Violations.Count,11}{(result.Checked == 0 ? "  the run had nothing that could show one" : "")}");
        Line();
        double[] recoveries = [.. history.Where(e => e.Kind == Kinds.Recovered).Select(e => e.Seconds!.Value).Order()];
        double[] revocations = [.. RevokedSessionsEnd.Times(history).Order()];
        Line($"seed {seed}: {history.Count(e => e.Kind == Kinds.RoundBegin)} rounds in {history.Max(e => e.At) / 60_000:0.0} min; {history.Count(e => e.Kind == Kinds.ClientOpened)} sessions, {history.Count(e => e.Kind == Kinds.ClientFailed)} refused or failed; {history.Count} events in {file}");
        Line(Fights(history));
        Line($"recovery p50 {Percentile(recoveries, 50)} s, p99 {Percentile(recoveries, 99)} s; revocation p50 {Percentile(revocations, 50)} s, p99 {Percentile(revocations, 99)} s over {revocations.Length} sessions");
        Line($"violations: {violations.Count}");
        return text.ToString();
    }

    // Always there, so no fault of the table: how often the connector with two agents changed hands.
    private static string Fights(IReadOnlyList<HistoryEvent> history)
    {
        foreach (var fought in Grid.ChaosGrid.Agents.GroupBy(a => a.Connector).Where(g => g.Count() > 1))
        {
            string[] nodes = [.. fought.Select(a => a.Node)];
            HistoryEvent[] connected = [.. history.Where(e => e.Kind == Kinds.AgentConnected && nodes.Contains(e.Node))];
            var tries = history.Count(e => e.Kind == Kinds.AgentConnecting && nodes.Contains(e.Node));
            var hands = connected.Zip(connected.Skip(1)).Count(p => p.First.Node != p.Second.Node);
            return $"{nodes.Length} agents fought for {fought.Key}: {tries} attaches, {tries - connected.Length} refused or failed, changed hands {hands} times";
        }

        return "";
    }

    private static string Repeat(int seed, int rounds, string? only) => $"make chaos SEED={seed} ROUNDS={rounds}{(only is null ? "" : $" ONLY={only}")}";

    private static int RoundAt(IReadOnlyList<HistoryEvent> history, double at) =>
        history.LastOrDefault(e => e.Kind == Kinds.RoundBegin && e.At <= at)?.Id ?? 1;

    private static string Percentile(double[] sorted, int percent) =>
        sorted.Length == 0 ? "-" : sorted[Math.Min(sorted.Length - 1, (int)Math.Ceiling(sorted.Length * percent / 100.0) - 1)].ToString("0.0", CultureInfo.InvariantCulture);
}
