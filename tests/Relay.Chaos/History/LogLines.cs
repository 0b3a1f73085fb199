using System.Text.Json;

namespace Relay.Chaos.History;

/// <summary>Turns the programs' JSON log lines into events. Knows the nodes' addresses, because the programs do not know the driver's names.</summary>
/// <param name="nodeAt">Node of an address "host:port" or "host"; null: none of ours.</param>
internal sealed class LogLines(Func<string, string?> nodeAt)
{
    /// <summary>Null: nothing the checker wants to know.</summary>
    /// <param name="node">Who wrote it.</param>
    /// <param name="agent">The agent's process, for agents.</param>
    /// <param name="connector">The agent's connector.</param>
    public HistoryEvent? Parse(string line, string node, string? agent, string? connector, Func<DateTimeOffset, double> clock)
    {
        if (!line.StartsWith('{'))
            return null;
        try
        {
            using var document = JsonDocument.Parse(line);
            var root = document.RootElement;
            if (!root.TryGetProperty("msg", out var message) || !root.TryGetProperty("ts", out var ts))
                return null;
            var at = clock(ts.GetDateTimeOffset());
            var text = message.GetString()!;
            return agent is not null ? OfAgent(root, text, at, node, agent, connector) : OfServer(root, text, at, node);
        }
        catch (JsonException)
        {
            // A process that is killed may leave half a line.
            return null;
        }
    }

    private static HistoryEvent? OfAgent(JsonElement root, string message, double at, string node, string agent, string? connector) => message switch
    {
        "connecting to connector server" => new(at, Kinds.AgentConnecting) { Agent = agent, Node = node },
        "connected to relay" => new(at, Kinds.AgentConnected) { Agent = agent, Node = node, Connector = connector, Epoch = Number(root, "epoch") },
        "control stream closed" or "disconnecting connector as requested by server" or "stopping connector as requested by server" => new(at, Kinds.AgentClosed) { Agent = agent, Node = node, Reason = Text(root, "cause") },
        "stream admitted" => new(at, Kinds.StreamAdmitted) { Agent = agent, Node = node, Connector = connector, Session = Id(root, "session"), Epoch = Number(root, "epoch") },
        "stream over" => new(at, Kinds.StreamOver) { Agent = agent, Node = node, Connector = connector, Session = Id(root, "session"), Epoch = Number(root, "epoch") },
        _ => null,
    };

    private HistoryEvent? OfServer(JsonElement root, string message, double at, string node) => message switch
    {
        "silo ready" => new(at, Kinds.SiloReady) { Node = node },
        "lease granted" => new(at, Kinds.LeaseGranted) { Silo = node, Connector = Text(root, "connector"), Epoch = Number(root, "epoch"), Instance = Id(root, "agent_instance") },
        "connector detached" => new(at, Kinds.Detached) { Silo = node, Connector = Text(root, "connector"), Epoch = Number(root, "epoch"), Reason = Text(root, "cause") },
        "session opened" => new(at, Kinds.SessionOpened) { Gateway = node, Session = Id(root, "session"), Socket = Text(root, "socket"), Silo = nodeAt(Text(root, "silo") ?? ""), Client = Text(root, "client") },
        "session ended" => new(at, Kinds.SessionEnded) { Gateway = node, Session = Id(root, "session"), Reason = Text(root, "outcome") },
        _ when message.StartsWith("session ", StringComparison.Ordinal) && message.Contains(" ended: ", StringComparison.Ordinal) => new(at, Kinds.SessionOver) { Silo = node, Session = Id(root, "session_id"), Reason = Text(root, "outcome") },
        _ when message.Contains(" is declared dead", StringComparison.Ordinal) => new(at, Kinds.DeclaredDead) { Node = node, Silo = nodeAt(Text(root, "address") ?? "") ?? Text(root, "address"), Reason = Text(root, "why") },
        _ when message.StartsWith("spool delivered", StringComparison.Ordinal) => new(at, Kinds.SpoolDelivered) { Silo = node, Reason = Text(root, "fact_id") },
        _ => null,
    };

    private static string? Text(JsonElement root, string name) => root.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static long? Number(JsonElement root, string name) => root.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetInt64() : null;

    private static Guid? Id(JsonElement root, string name) => Guid.TryParse(Text(root, name), out var id) ? id : null;
}
