using System.Text.Json;

namespace Relay.Api;

/// <summary>What happened, or is happening. Filters: user, socket, connector, from, to, result (allowed, denied, killed), live.</summary>
public sealed record SessionResource
{
    public required Guid SessionId { get; init; }

    public required Guid UserId { get; init; }

    public required string UserEmail { get; init; }

    /// <summary>Null: there is no socket of the name that was asked for.</summary>
    public Guid? SocketId { get; init; }

    public required string SocketName { get; init; }

    /// <summary>"ssh", "tls" (any TCP) or "udp".</summary>
    public required string SessionType { get; init; }

    public required string SshUser { get; init; }

    public required string ClientIp { get; init; }

    public required int ClientPort { get; init; }

    public required string ClientVersion { get; init; }

    /// <summary>Which certificate or key proved the user.</summary>
    public required JsonElement Credential { get; init; }

    public required string Gateway { get; init; }

    public required string Silo { get; init; }

    public Guid? ConnectorId { get; init; }

    public required string ConnectorName { get; init; }

    /// <summary>Grid address of the silo that holds the connector; another one than <see cref="Silo"/>: the stream takes one hop more.</summary>
    public required string ConnectorSilo { get; init; }

    /// <summary>Silos that the stream goes through: 1, or 2 when the connector is attached to another silo than the gateway uses; 0: no stream was opened.</summary>
    public int Hops { get; init; }

    /// <summary>"host:port" that the connector dialled, of the hosts that the socket has; empty: none was reached.</summary>
    public required string Target { get; init; }

    /// <summary>"allowed" or "denied".</summary>
    public required string Authorization { get; init; }

    public required Guid DecisionId { get; init; }

    /// <summary>The policy that allowed it; empty when denied.</summary>
    public required string PolicyName { get; init; }

    /// <summary>The organization's version the decision was made under.</summary>
    public required long PolicyVersion { get; init; }

    public required JsonElement Reasons { get; init; }

    public required DateTimeOffset StartTime { get; init; }

    /// <summary>Null: live.</summary>
    public DateTimeOffset? EndTime { get; init; }

    /// <summary>How it ended; empty while it lives.</summary>
    public required string Outcome { get; init; }

    public required bool Killed { get; init; }

    public required string KilledBy { get; init; }

    public required long BytesUp { get; init; }

    public required long BytesDown { get; init; }

    /// <summary>disabled, recording, ready or failed.</summary>
    public required string RecordingState { get; init; }

    /// <summary>Why there is none, where the kind of session has none; else empty.</summary>
    public required string RecordingReason { get; init; }

    /// <summary>Only in the answer for one session.</summary>
    public IReadOnlyList<RecordingResource>? Recordings { get; init; }

    /// <summary>Only in the answer for one session.</summary>
    public IReadOnlyList<SessionEvent>? Events { get; init; }
}

/// <summary>One recorded channel; its asciicast v2 is <c>GET /api/v1/sessions/{id}/recordings/{no}</c>.</summary>
public sealed record RecordingResource
{
    public required int RecordingNo { get; init; }

    public required string Title { get; init; }

    public required DateTimeOffset StartedAt { get; init; }

    /// <summary>Null: still being written, or cut off.</summary>
    public DateTimeOffset? EndedAt { get; init; }
}

public sealed record SessionEvent
{
    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>shell, exec, sftp, tcp_forwarding, agent_forwarding, …</summary>
    public required string Type { get; init; }

    /// <summary>allowed, denied, done or failed.</summary>
    public required string Status { get; init; }

    public required JsonElement Metadata { get; init; }
}

/// <summary>Ends live sessions, <c>POST /api/v1/sessions/kill</c>: of a user, a socket or a connector (ids or names); several are ANDed, at least one is required.</summary>
public sealed record SessionKill
{
    public string? User { get; init; }

    public string? Socket { get; init; }

    public string? Connector { get; init; }
}

/// <summary>Which live sessions were told to end.</summary>
public sealed record SessionKillResult(int Killed, IReadOnlyList<Guid> SessionIds) : Confirmed;

/// <summary>Filters: actor, type, resource, outcome, from, to.</summary>
public sealed record AuditEvent
{
    public required long Id { get; init; }

    public required DateTimeOffset PerformedAt { get; init; }

    /// <summary>"policy.create", "login.success", "session.denied", …</summary>
    public required string ActionType { get; init; }

    public required string ActorId { get; init; }

    public required string ActorEmail { get; init; }

    public required string RequestorIp { get; init; }

    public required string ResourceType { get; init; }

    public required string ResourceId { get; init; }

    public required string Outcome { get; init; }

    public required string RequestId { get; init; }

    public required JsonElement Detail { get; init; }
}
