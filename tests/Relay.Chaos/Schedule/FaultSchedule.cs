namespace Relay.Chaos.Schedule;

/// <summary>One fault of a round.</summary>
/// <param name="Id">Number over the whole run, from 1.</param>
/// <param name="Target">Which of the nodes it can be done to, from 0.</param>
/// <param name="Other">A second choice for faults that need one, 0..999.</param>
/// <param name="Delay">Seconds after the round's beginning.</param>
/// <param name="Hold">Seconds it lasts.</param>
internal sealed record PlannedFault(int Id, FaultDefinition Fault, int Target, int Other, double Delay, double Hold);

/// <summary>Faults that are there together; everything is mended, and works again, before the next round.</summary>
/// <param name="Number">From 1.</param>
/// <param name="Calm">Seconds of peace before it.</param>
internal sealed record Round(int Number, double Calm, IReadOnlyList<PlannedFault> Faults);

/// <summary>What is done to the grid and when: a pure function of the seed, without end.</summary>
internal static class FaultSchedule
{
    private const double PairChance = 0.25;

    /// <param name="only">Faults to choose from; empty: all.</param>
    public static IEnumerable<Round> For(int seed, IReadOnlyCollection<string> only)
    {
        // Random with a seed is the same generator in every version of the framework.
        var random = new Random(seed);
        FaultDefinition[] known = only.Count == 0 ? [.. Faults.All] : [.. only.Select(Faults.Find)];
        var id = 0;
        var number = 0;
        while (true)
        {
            // Every kind once per cycle, in another order each time: a run of some length has seen them all.
            var waiting = new Queue<FaultDefinition>(Shuffled(known, random));
            while (waiting.TryDequeue(out var first))
            {
                var faults = new List<PlannedFault> { Plan(first, ++id, delay: 0, random) };
                if (random.NextDouble() < PairChance && waiting.TryPeek(out var second) && GoTogether(first, second))
                    faults.Add(Plan(waiting.Dequeue(), ++id, delay: random.NextDouble() * faults[0].Hold / 2, random));
                yield return new Round(++number, 2 + (random.NextDouble() * 2), faults);
            }
        }
    }

    /// <summary>Two faults at once must leave something that can be right: not two silos of three, not the store twice.</summary>
    private static bool GoTogether(FaultDefinition one, FaultDefinition other) =>
        one.Area != other.Area && !(Of(one, other, "store") && (Of(one, other, "spool") || Of(one, other, "right")))
            && !(Of(one, other, "spool") && (Of(one, other, "silo") || Of(one, other, "right")));

    private static bool Of(FaultDefinition one, FaultDefinition other, string area) => one.Area == area || other.Area == area;

    private static PlannedFault Plan(FaultDefinition fault, int id, double delay, Random random) =>
        new(id, fault, random.Next(fault.Targets), random.Next(1000), delay, fault.Shortest + (random.NextDouble() * (fault.Longest - fault.Shortest)));

    private static FaultDefinition[] Shuffled(FaultDefinition[] faults, Random random)
    {
        var copy = (FaultDefinition[])faults.Clone();
        random.Shuffle(copy);
        return copy;
    }
}
