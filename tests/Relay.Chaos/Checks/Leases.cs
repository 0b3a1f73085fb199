using Relay.Chaos.History;

namespace Relay.Chaos.Checks;

/// <summary>Grants with the agent that each is about.</summary>
internal sealed class Leases
{
    private readonly ILookup<string, Grant> _grants;
    private readonly Dictionary<(string Connector, long Epoch), Grant> _byEpoch = [];

    public Leases(IReadOnlyList<HistoryEvent> history)
    {
        // The lease names an instance, the agent says which epoch it got: together they tell which process an instance is.
        var connected = new Dictionary<(string, long), string>();
        foreach (var e in history.Where(e => e.Kind == Kinds.AgentConnected))
            connected[(e.Connector!, e.Epoch!.Value)] = e.Agent!;
        var agents = new Dictionary<Guid, string>();
        foreach (var e in history.Where(e => e.Kind == Kinds.LeaseGranted))
        {
            if (connected.TryGetValue((e.Connector!, e.Epoch!.Value), out var agent))
                agents[e.Instance!.Value] = agent;
        }

        List<Grant> grants = [.. history.Where(e => e.Kind == Kinds.LeaseGranted)
            .Select(e => new Grant(e.Connector!, e.Epoch!.Value, e.At, agents.GetValueOrDefault(e.Instance!.Value) ?? e.Instance.Value.ToString(), e.Silo!, e))];
        _grants = grants.ToLookup(g => g.Connector);
        foreach (var grant in grants)
            _byEpoch.TryAdd((grant.Connector, grant.Epoch), grant);
    }

    public IEnumerable<string> Connectors => _grants.Select(g => g.Key);

    public IEnumerable<Grant> Of(string connector) => _grants[connector];

    /// <summary>Null: the silo that granted it was killed before its line was read.</summary>
    public Grant? Find(string connector, long epoch) => _byEpoch.GetValueOrDefault((connector, epoch));

    internal sealed record Grant(string Connector, long Epoch, double At, string Agent, string Silo, HistoryEvent Event);
}
