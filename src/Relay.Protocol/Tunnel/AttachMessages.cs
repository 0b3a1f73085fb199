using System.Text.Json.Serialization;

namespace Relay.Protocol.Tunnel;

/// <summary>First message of a tunnel, agent to silo. SECURITY: holds a bearer token; never logged.</summary>
/// <param name="Protocol"><see cref="TunnelWire.ProtocolVersion"/>.</param>
/// <param name="Token">Connector token (JWT).</param>
/// <param name="AgentInstance">Random, made when the agent's process starts: who re-attaches, as opposed to a second agent.</param>
/// <param name="HighestEpoch">Highest epoch this agent instance has seen; 0 before the first attach.</param>
/// <param name="Version">Software version, for the record.</param>
/// <param name="Host">Host name, for the record.</param>
/// <param name="Os">Operating system, for the record.</param>
/// <param name="SshHostKey">OpenSSH line of the built-in SSH service's host key; null: no such service.</param>
/// <param name="SshUsers">Users the built-in SSH service can log in; null or empty: none.</param>
/// <param name="Attempt">Counts this instance's attaches from 1, so that one that is executed late can be told; null: it does not count.</param>
/// <param name="ClockMs">The agent's <see cref="BootClock"/> when it sent this, milliseconds; null: it does not check <see cref="TunnelWire.UntilHeader"/>.</param>
public sealed record AttachRequest(
    int Protocol, string Token, Guid AgentInstance, long HighestEpoch, string Version, string Host, string Os,
    string? SshHostKey = null, IReadOnlyList<string>? SshUsers = null, long? ClockMs = null, long? Attempt = null);

/// <summary>Answer to <see cref="AttachRequest"/>. When not accepted the silo closes after it.</summary>
/// <param name="Epoch">The attachment's number; grows with every attach of this connector. 0 when refused.</param>
/// <param name="Code">One of <see cref="AttachCodes"/>; null when accepted.</param>
/// <param name="Message">One sentence for the connector's log; null when accepted.</param>
/// <param name="ConnectorName">The connector's name, for the log.</param>
/// <param name="SshCa">The organization's SSH CA (OpenSSH line): who may log in to the built-in SSH service.</param>
/// <param name="Silos">"host:port" where connectors dial the active silos; null or empty: nothing new.</param>
/// <param name="Silo">Name of the silo, for the log.</param>
public sealed record AttachResponse(
    bool Accepted, long Epoch, string? Code = null, string? Message = null, string? ConnectorName = null,
    string? SshCa = null, IReadOnlyList<string>? Silos = null, string? Silo = null);

/// <summary>Why the silo closes a tunnel: <see cref="TunnelWire.GoodbyePath"/>.</summary>
/// <param name="Code">One of <see cref="AttachCodes"/>.</param>
/// <param name="Message">One sentence for the connector's log.</param>
public sealed record Goodbye(string Code, string Message);

/// <summary>Stable codes of refusals and of goodbyes; see <see cref="IsFatal"/>.</summary>
public static class AttachCodes
{
    /// <summary>Not a connector token at all.</summary>
    public const string TokenMalformed = "token_malformed";

    /// <summary>A token of another grid, or one whose signature does not hold.</summary>
    public const string TokenForeign = "token_foreign";

    /// <summary>Past its <c>exp</c>.</summary>
    public const string TokenExpired = "token_expired";

    /// <summary>Revoked by an administrator.</summary>
    public const string TokenRevoked = "token_revoked";

    /// <summary>The connector no longer exists.</summary>
    public const string ConnectorDeleted = "connector_deleted";

    /// <summary>Another agent instance holds the connector, and it lives.</summary>
    public const string AlreadyConnected = "already_connected";

    /// <summary>The agent speaks a version of the protocol that the silo does not.</summary>
    public const string ProtocolVersion = "protocol_version";

    /// <summary>The message was not an attach request.</summary>
    public const string BadRequest = "bad_request";

    /// <summary>The silo cannot decide now; try again.</summary>
    public const string Unavailable = "unavailable";

    /// <summary>The silo is shutting down; attach elsewhere.</summary>
    public const string Draining = "draining";

    /// <summary>A later attachment of the same connector replaced this one.</summary>
    public const string Superseded = "superseded";

    /// <summary>The lease could not be renewed in time.</summary>
    public const string LeaseLost = "lease_lost";

    /// <summary>True when trying again cannot help: the agent stops with an exit code of its own.</summary>
    /// <param name="code">A code; unknown ones and null are not fatal.</param>
    public static bool IsFatal(string? code) => code is TokenMalformed or TokenForeign or TokenExpired or TokenRevoked
        or ConnectorDeleted or AlreadyConnected or ProtocolVersion;
}

/// <summary>Serializer for the tunnel's messages: snake_case, unknown fields ignored, nulls omitted.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(AttachRequest))]
[JsonSerializable(typeof(AttachResponse))]
[JsonSerializable(typeof(Goodbye))]
public sealed partial class TunnelJson : JsonSerializerContext;
