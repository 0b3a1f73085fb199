using Relay.Chaos.Checks;
using Relay.Chaos.History;
using Relay.Chaos.Schedule;

namespace Relay.Tests.Chaos;

/// <summary>Histories made by hand; times in milliseconds.</summary>
internal static class GivenHistory
{
    public static readonly Guid First = Guid.Parse("11111111-0000-0000-0000-000000000000");
    public static readonly Guid Second = Guid.Parse("22222222-0000-0000-0000-000000000000");
    public static readonly Guid Session = Guid.Parse("55555555-0000-0000-0000-000000000000");

    public static HistoryEvent Grant(double at, string silo, long epoch, Guid instance) =>
        new(at, Kinds.LeaseGranted) { Silo = silo, Connector = "twin", Epoch = epoch, Instance = instance };

    public static HistoryEvent Connecting(double at, string agent) => new(at, Kinds.AgentConnecting) { Agent = agent, Node = Node(agent) };

    public static HistoryEvent Connected(double at, string agent, long epoch) =>
        new(at, Kinds.AgentConnected) { Agent = agent, Node = Node(agent), Connector = "twin", Epoch = epoch };

    public static HistoryEvent Admitted(double at, string agent, long epoch) =>
        new(at, Kinds.StreamAdmitted) { Agent = agent, Node = Node(agent), Connector = "twin", Epoch = epoch, Session = Session };

    public static HistoryEvent Over(double at, string agent, long epoch) =>
        new(at, Kinds.StreamOver) { Agent = agent, Node = Node(agent), Connector = "twin", Epoch = epoch, Session = Session };

    public static HistoryEvent Node(double at, string kind, string node) => new(at, kind) { Node = node };

    public static HistoryEvent[] Fault(double from, double to, string fault, params string[] touches) =>
        [new(from, Kinds.FaultBegin) { Id = 1, Fault = fault, Touches = touches }, new(to, Kinds.FaultEnd) { Id = 1, Fault = fault }];

    public static HistoryEvent Opened(double at, string client, string socket = "alpha") =>
        new(at, Kinds.ClientOpened) { Client = client, Gateway = "gateway-1", Socket = socket };

    public static HistoryEvent Closed(double at, string client, double lastEcho, bool wanted = false, string socket = "alpha") =>
        new(at, Kinds.ClientClosed) { Client = client, Socket = socket, LastAt = lastEcho, Good = wanted, Reason = "the connection ended" };

    public static HistoryEvent SessionOpened(double at, string client) =>
        new(at, Kinds.SessionOpened) { Client = client, Gateway = "gateway-1", Silo = "silo-1", Session = Session, Socket = "alpha" };

    /// <summary>The one result, from all checks together: the others must be quiet about what only one is to catch.</summary>
    public static CheckResult Check(string invariant, params IEnumerable<HistoryEvent> history)
    {
        var results = Checker.Check(history);
        return results.Single(r => r.Invariant == invariant);
    }

    private static string Node(string agent) => agent[..agent.IndexOf('#', StringComparison.Ordinal)];
}
