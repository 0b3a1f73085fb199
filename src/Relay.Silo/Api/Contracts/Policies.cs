using System.Text.Json;

namespace Relay.Api;

public sealed record PolicyResource : Confirmed
{
    public required Guid Id { get; init; }

    public required string Name { get; init; }

    public required string Description { get; init; }

    /// <summary>Schema of <see cref="PolicyData"/>: "v1" or "v2".</summary>
    public required string Version { get; init; }

    public required bool OrgWide { get; init; }

    public required JsonElement PolicyData { get; init; }

    /// <summary>AND inside a map, OR between the maps.</summary>
    public required IReadOnlyList<IReadOnlyDictionary<string, string>> TagRules { get; init; }

    public required IReadOnlyList<NamedRef> Sockets { get; init; }

    /// <summary>From then on it grants nothing, and what it granted ends; null: never.</summary>
    public required DateTimeOffset? Expires { get; init; }

    /// <summary>Also the ETag: send it back as If-Match.</summary>
    public required long Revision { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    public required DateTimeOffset UpdatedAt { get; init; }
}

/// <summary>Creates or updates a policy.</summary>
public sealed record PolicyWrite
{
    /// <summary>1–63 lowercase letters, digits, hyphens; unique.</summary>
    public string? Name { get; init; }

    public string? Description { get; init; }

    /// <summary>Absent in a create: false.</summary>
    public bool? OrgWide { get; init; }

    /// <summary>The policy document, schema v2 or v1.</summary>
    public JsonElement? PolicyData { get; init; }

    public IReadOnlyList<IReadOnlyDictionary<string, string>>? TagRules { get; init; }

    /// <summary>A time (RFC 3339) or "never". Absent in a create: never; in an update: as it is.</summary>
    public string? Expires { get; init; }

    /// <summary>Socket ids or names to attach; in an update they replace the attachments.</summary>
    public IReadOnlyList<string>? SocketIds { get; init; }
}

/// <summary>Asks what a policy would say: <c>POST /api/v1/policies/{id}/test</c>.</summary>
public sealed record PolicyTestRequest
{
    /// <summary>E-mail address; need not be a user. A user's groups count.</summary>
    public string? Email { get; init; }

    /// <summary>Client address; absent: 127.0.0.1.</summary>
    public string? Ip { get; init; }

    /// <summary>ISO country code the address is taken to be in; absent: unknown.</summary>
    public string? Country { get; init; }

    /// <summary>Absent: now.</summary>
    public DateTimeOffset? Time { get; init; }

    /// <summary>Socket id or name; absent: a socket with no tags that defines no username.</summary>
    public string? Socket { get; init; }

    /// <summary>User on the target; absent: what the socket defines.</summary>
    public string? Username { get; init; }

    /// <summary>For the exec action; absent: "true".</summary>
    public string? Command { get; init; }

    /// <summary>"host:port" for the tcp_forwarding action; absent: "localhost:80".</summary>
    public string? Destination { get; init; }
}

/// <summary>Asks what all policies together say about a socket: <c>POST /api/v1/sockets/{id}/evaluate</c>. As <see cref="PolicyTestRequest"/>, of the socket in the path.</summary>
public sealed record SocketEvaluateRequest
{
    /// <summary>E-mail address; need not be a user. A user's groups count.</summary>
    public string? Email { get; init; }

    /// <summary>Client address; absent: 127.0.0.1.</summary>
    public string? Ip { get; init; }

    /// <summary>ISO country code the address is taken to be in; absent: unknown.</summary>
    public string? Country { get; init; }

    /// <summary>Absent: now.</summary>
    public DateTimeOffset? Time { get; init; }

    /// <summary>User on the target; absent: what the socket defines.</summary>
    public string? Username { get; init; }

    /// <summary>For the exec action; absent: "true".</summary>
    public string? Command { get; init; }

    /// <summary>"host:port" for the tcp_forwarding action; absent: "localhost:80".</summary>
    public string? Destination { get; init; }
}

public sealed record SocketEvaluateResponse
{
    /// <summary>True when a session would be opened.</summary>
    public required bool Allowed { get; init; }

    /// <summary>"connect" first, then each kind of channel.</summary>
    public required IReadOnlyList<SocketEvaluatedAction> Actions { get; init; }
}

public sealed record SocketEvaluatedAction
{
    public required string Action { get; init; }

    public required bool Allowed { get; init; }

    /// <summary>The first policy, by name, that allows it; empty when none does.</summary>
    public required string PolicyName { get; init; }

    /// <summary>When it would end at the latest; null: no limit, or not allowed.</summary>
    public required DateTimeOffset? EndsAt { get; init; }

    /// <summary>What was missing, the nearest policy first; empty when allowed. <see cref="PolicyTestReason.Clause"/> begins with the policy's name.</summary>
    public required IReadOnlyList<PolicyTestReason> Reasons { get; init; }
}

public sealed record PolicyTestResponse
{
    /// <summary>True when the condition holds and at least one action is allowed.</summary>
    public required bool Passed { get; init; }

    /// <summary>"ssh.shell", "ssh.exec", "ssh.sftp", "ssh.tcp_forwarding", "ssh.agent_forwarding", "database", …</summary>
    public required IReadOnlyList<string> AllowedActions { get; init; }

    /// <summary>Every clause of the condition, met or not.</summary>
    public required IReadOnlyList<PolicyTestReason> Clauses { get; init; }

    /// <summary>Each SSH action with the reasons of its refusal.</summary>
    public required IReadOnlyList<PolicyTestAction> Actions { get; init; }
}

public sealed record PolicyTestAction
{
    public required string Action { get; init; }

    public required bool Allowed { get; init; }

    public required IReadOnlyList<PolicyTestReason> Reasons { get; init; }
}

/// <summary>One clause and the fact it looked at.</summary>
public sealed record PolicyTestReason
{
    /// <summary>Path in the document, e.g. "$.condition.who".</summary>
    public required string Clause { get; init; }

    public required bool Met { get; init; }

    public required string Message { get; init; }
}
