namespace Relay.Chaos.Schedule;

/// <summary>What can be done to the grid. The names are those of the table, of the history and of <c>--only</c>.</summary>
internal static class Faults
{
    public const string KillSilo = "silo.kill";
    public const string FreezeSiloShortly = "silo.freeze-short";
    public const string FreezeSilo = "silo.freeze";
    public const string IsolateSilo = "silo.isolate";
    public const string CutSiloOneWay = "silo.cut-one-way";
    public const string CutTwoSilos = "silo.cut-pair";
    public const string CutSiloFromStore = "silo.cut-store";
    public const string SlowSilo = "silo.slow";
    public const string KillGateway = "gateway.kill";
    public const string CutGateway = "gateway.cut";
    public const string KillAgent = "agent.kill";
    public const string CutAgent = "agent.cut";
    public const string FreezeAgent = "agent.freeze";
    public const string StopStore = "store.stop";
    public const string FreezeStore = "store.freeze";
    public const string FailOverStore = "store.failover";
    public const string JumpClock = "store.clock-jump";
    public const string FillDisk = "spool.full-disk";
    public const string RevokePolicy = "right.policy";
    public const string KillSessions = "right.kill";

    /// <summary>All of them. New ones go to the end: seeds keep their meaning only as long as this list stays.</summary>
    public static readonly IReadOnlyList<FaultDefinition> All =
    [
        new(KillSilo, 2, 8, Targets: 3),
        new(FreezeSiloShortly, 0.3, 1, Targets: 3),
        new(FreezeSilo, 10, 16, Targets: 3),
        new(IsolateSilo, 8, 20, Targets: 3),
        new(CutSiloOneWay, 6, 14, Targets: 3),
        new(CutTwoSilos, 6, 14, Targets: 3),
        new(CutSiloFromStore, 8, 25, Targets: 3),
        new(SlowSilo, 6, 12, Targets: 3),
        new(KillGateway, 1, 4, Targets: 2),
        new(CutGateway, 5, 12, Targets: 2),
        new(KillAgent, 0.5, 3, Targets: 5),
        new(CutAgent, 4, 20, Targets: 5),
        new(FreezeAgent, 2, 14, Targets: 5),
        new(StopStore, 5, 20, Targets: 1),
        new(FreezeStore, 2, 8, Targets: 1),
        new(FailOverStore, 2, 5, Targets: 1),
        new(JumpClock, 5, 12, Targets: 2),
        new(FillDisk, 5, 10, Targets: 3),
        new(RevokePolicy, 3, 6, Targets: 2),
        new(KillSessions, 0.5, 1, Targets: 4),
    ];

    public static FaultDefinition Find(string name) =>
        All.FirstOrDefault(f => f.Name == name) ?? throw new ArgumentException($"There is no fault {name}; there are {string.Join(", ", All.Select(f => f.Name))}.");
}

/// <param name="Shortest">Seconds it lasts at least.</param>
/// <param name="Longest">Seconds it lasts at most.</param>
/// <param name="Targets">How many nodes, or ways, it can be done to.</param>
internal sealed record FaultDefinition(string Name, double Shortest, double Longest, int Targets)
{
    /// <summary>What it is done to: "silo", "gateway", "agent", "store", "spool", "right".</summary>
    public string Area => Name[..Name.IndexOf('.', StringComparison.Ordinal)];
}
