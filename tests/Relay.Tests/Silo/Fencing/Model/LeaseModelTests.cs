using System.Collections.Concurrent;
using System.Globalization;
using System.Text;

namespace Relay.Tests.Silo.Fencing.Model;

/// <summary>Alone: it takes all processors, and what runs beside it would wait for them.</summary>
[CollectionDefinition(nameof(LeaseModelTests), DisableParallelization = true)]
public sealed class LeaseModelCollection;

/// <summary>
/// Very many schedules of the lease protocol. A failing seed is printed; RELAY_MODEL_SEED=… repeats it alone, and RELAY_MODEL_SCHEDULES=…
/// runs more of them.
/// </summary>
[Collection(nameof(LeaseModelTests))]
public sealed class LeaseModelTests
{
    private static readonly int s_schedules = int.Parse(Environment.GetEnvironmentVariable("RELAY_MODEL_SCHEDULES") ?? "1500", CultureInfo.InvariantCulture);

    private static readonly long s_mutants = long.Parse(Environment.GetEnvironmentVariable("RELAY_MODEL_MUTANTS") ?? "20000", CultureInfo.InvariantCulture);

    [Fact]
    public void No_schedule_lets_two_instances_be_served_or_an_old_epoch_open_a_stream()
    {
        if (Environment.GetEnvironmentVariable("RELAY_MODEL_SEED") is { } one)
        {
            var model = new LeaseModel(ulong.Parse(one, CultureInfo.InvariantCulture)) { Trace = new StringBuilder() };
            model.Run();
            Assert.True(model.Violation is null, $"{model.Violation}\n{model.Trace}");
            return;
        }

        var start = TimeProvider.System.GetTimestamp();
        var counts = new ConcurrentDictionary<string, long>();
        var violations = new ConcurrentQueue<string>();
        long steps = 0;
        Parallel.For(1, s_schedules + 1, seed =>
        {
            var model = new LeaseModel((ulong)seed);
            model.Run();
            Interlocked.Add(ref steps, model.Steps);
            foreach (var (what, count) in model.Counts) counts.AddOrUpdate(what, count, (_, former) => former + count);
            if (model.Violation is { } violation) violations.Enqueue($"RELAY_MODEL_SEED={seed}: {violation}");
        });
        var took = TimeProvider.System.GetElapsedTime(start);
        var report = new StringBuilder().AppendLine(CultureInfo.InvariantCulture, $"{s_schedules} schedules, {steps} steps, {s_schedules / took.TotalSeconds:0} schedules/s");
        foreach (var (what, count) in counts.OrderBy(c => c.Key, StringComparer.Ordinal)) report.AppendLine(CultureInfo.InvariantCulture, $"  {what}: {count}");
        TestContext.Current.SendDiagnosticMessage(report.ToString());
        Assert.True(violations.IsEmpty, $"{violations.Count} violations\n{string.Join('\n', violations.Order(StringComparer.Ordinal).Take(20))}\n{report}");

        // What is claimed to be explored was.
        foreach (var what in (string[])["takeover: fenced", "takeover: lapsed", "takeover: the holder's silo gave it up", "tunnels closed: cut off", "tunnels closed: hard TTL", "fenced silos that ended", "asked through a peer"])
            Assert.True(counts.GetValueOrDefault(what) > 0, $"no schedule has seen: {what}\n{report}");
    }

    public static TheoryData<string> Guards => [.. Enum.GetNames<Guard>().Where(g => g != nameof(Guard.None))];

    /// <summary>Each rule is needed: without it some schedule violates what the protocol promises.</summary>
    [Theory]
    [MemberData(nameof(Guards))]
    public void Without_a_guard_the_model_finds_a_violation(string guard)
    {
        var off = Enum.Parse<Guard>(guard);
        ulong found = 0;
        string? violation = null;
        Parallel.For(1L, s_mutants, (seed, loop) =>
        {
            var model = new LeaseModel((ulong)seed, off);
            model.Run();
            if (model.Violation is null) return;
            (found, violation) = ((ulong)seed, model.Violation);
            loop.Stop();
        });
        Assert.True(violation is not null, $"without {guard} nothing went wrong: the guard does nothing, or the model is blind");
        TestContext.Current.SendDiagnosticMessage($"without {guard}, seed {found}: {violation}");
    }
}
