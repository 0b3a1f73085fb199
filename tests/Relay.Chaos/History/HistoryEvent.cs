using System.Text.Json.Serialization;

namespace Relay.Chaos.History;

/// <summary>
/// One fact of a run: what the driver did or saw, or what a program's log said. Flat on purpose: a history is one JSON object per
/// line that grep and jq can read. Which fields an event has follows from its <see cref="Kind"/>; see <see cref="Kinds"/>.
/// </summary>
/// <param name="At">Milliseconds since the run began, CLOCK_MONOTONIC of the one host that all processes share.</param>
/// <param name="Kind">One of <see cref="Kinds"/>.</param>
internal sealed record HistoryEvent(double At, string Kind)
{
    /// <summary>The process, as the driver calls its place: "silo-1", "gateway-2", "twin-a".</summary>
    public string? Node { get; init; }

    /// <summary>One start of an agent, "twin-a#3": what the grid calls an agent instance.</summary>
    public string? Agent { get; init; }

    /// <summary>A connector's name.</summary>
    public string? Connector { get; init; }

    public long? Epoch { get; init; }

    /// <summary>The agent instance as the lease names it.</summary>
    public Guid? Instance { get; init; }

    /// <summary>A silo's node.</summary>
    public string? Silo { get; init; }

    public Guid? Session { get; init; }

    /// <summary>The client's end of its connection to a gateway, "address:port": what joins a client with its session.</summary>
    public string? Client { get; init; }

    public string? Gateway { get; init; }

    public string? Socket { get; init; }

    /// <summary>The sockets that a revocation or kill is about.</summary>
    public IReadOnlyList<string>? Sockets { get; init; }

    /// <summary>Number of a fault or of a revocation.</summary>
    public int? Id { get; init; }

    /// <summary>A fault's name.</summary>
    public string? Fault { get; init; }

    /// <summary>Nodes whose sessions a fault may end; a link is "a|b", the names in order.</summary>
    public IReadOnlyList<string>? Touches { get; init; }

    public string? Reason { get; init; }

    /// <summary>A duration in seconds.</summary>
    public double? Seconds { get; init; }

    /// <summary>When something last happened, as <see cref="At"/>.</summary>
    public double? LastAt { get; init; }

    public int? First { get; init; }

    public int? Last { get; init; }

    public int? Count { get; init; }

    public bool? Good { get; init; }

    /// <summary>The name of the link between two nodes.</summary>
    public static string Link(string one, string other) => string.CompareOrdinal(one, other) < 0 ? $"{one}|{other}" : $"{other}|{one}";
}

/// <summary>All histories' vocabulary.</summary>
[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(HistoryEvent))]
internal sealed partial class HistoryJson : JsonSerializerContext;
