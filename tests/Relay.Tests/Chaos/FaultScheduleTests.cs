using Relay.Chaos.Schedule;

namespace Relay.Tests.Chaos;

public sealed class FaultScheduleTests
{
    [Fact]
    public void A_seed_always_gives_the_same_schedule()
    {
        var once = Text(FaultSchedule.For(17, []).Take(100));
        Assert.Equal(once, Text(FaultSchedule.For(17, []).Take(100)));
        Assert.NotEqual(once, Text(FaultSchedule.For(18, []).Take(100)));
    }

    // A seed in a report must go on meaning what it meant.
    [Fact]
    public void A_seed_keeps_its_meaning() =>
        Assert.Equal("silo.cut-one-way:2 silo.isolate:2 agent.kill:4 store.clock-jump:1", string.Join(' ', FaultSchedule.For(1, []).Take(4).SelectMany(r => r.Faults).Select(f => $"{f.Fault.Name}:{f.Target}")));

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(99)]
    public void Every_kind_comes_once_in_a_cycle(int seed)
    {
        var faults = FaultSchedule.For(seed, []).SelectMany(r => r.Faults).Take(Faults.All.Count).Select(f => f.Fault.Name);
        Assert.Equal(Faults.All.Select(f => f.Name).Order(), faults.Order());
    }

    [Fact]
    public void Faults_stay_within_their_bounds_and_are_numbered()
    {
        var faults = FaultSchedule.For(5, []).Take(500).SelectMany(r => r.Faults).ToList();
        Assert.All(faults, f => Assert.InRange(f.Hold, f.Fault.Shortest, f.Fault.Longest));
        Assert.All(faults, f => Assert.InRange(f.Target, 0, f.Fault.Targets - 1));
        Assert.Equal(Enumerable.Range(1, faults.Count), faults.Select(f => f.Id));
    }

    [Fact]
    public void Two_faults_at_once_leave_a_majority_and_a_store()
    {
        var pairs = FaultSchedule.For(3, []).Take(2_000).Where(r => r.Faults.Count == 2).ToList();
        Assert.NotEmpty(pairs);
        Assert.All(pairs, p => Assert.NotEqual(p.Faults[0].Fault.Area, p.Faults[1].Fault.Area));
        Assert.DoesNotContain(pairs, p => p.Faults.Any(f => f.Fault.Area == "store") && p.Faults.Any(f => f.Fault.Area == "right"));
    }

    [Fact]
    public void Only_some_faults_can_be_asked_for()
    {
        var faults = FaultSchedule.For(1, [Faults.KillSilo, Faults.StopStore]).Take(50).SelectMany(r => r.Faults).Select(f => f.Fault.Name).Distinct();
        Assert.Equal([Faults.KillSilo, Faults.StopStore], faults.Order());
        Assert.Throws<ArgumentException>(() => FaultSchedule.For(1, ["silo.tickle"]).First());
    }

    private static string Text(IEnumerable<Round> rounds) => string.Join('\n', rounds.Select(r => $"{r.Number} {r.Calm} {string.Join(';', r.Faults)}"));
}
