namespace Relay.Silo.Sessions;

/// <summary>A new row of the session table. A refusal is a row too, ended as it begins.</summary>
internal sealed record SessionRow
{
    public required Guid SessionId { get; init; }

    public required Guid OrganizationId { get; init; }

    public required Guid UserId { get; init; }

    public required string UserEmail { get; init; }

    /// <summary>Null: there is no socket of that name.</summary>
    public Guid? SocketId { get; init; }

    public required string SocketName { get; init; }

    /// <summary>What the socket carries: "ssh", "tls" or "udp"; "ssh" for a socket that there is none of.</summary>
    public string SessionType { get; init; } = "ssh";

    public required string SshUser { get; init; }

    public required string ClientIp { get; init; }

    public required int ClientPort { get; init; }

    public required string ClientVersion { get; init; }

    /// <summary>JSON of <see cref="SessionCredential"/>.</summary>
    public required string Credential { get; init; }

    public required string Gateway { get; init; }

    public required bool Allowed { get; init; }

    public required Guid DecisionId { get; init; }

    public required string PolicyName { get; init; }

    public required long PolicyVersion { get; init; }

    /// <summary>JSON array.</summary>
    public required string Reasons { get; init; }

    public required bool Recorded { get; init; }
}

/// <summary>What another silo's session row says, for going on with it here.</summary>
internal sealed class StoredSession
{
    public Guid SessionId { get; init; }

    public Guid OrganizationId { get; init; }

    public Guid UserId { get; init; }

    public string UserEmail { get; init; } = "";

    public Guid? SocketId { get; init; }

    public string SocketName { get; init; } = "";

    public string SshUser { get; init; } = "";

    public string ClientIp { get; init; } = "";

    public string Gateway { get; init; } = "";

    public string Credential { get; init; } = "";

    public DateTimeOffset StartTime { get; init; }

    public DateTimeOffset? EndTime { get; init; }

    public string Outcome { get; init; } = "";

    public DateTimeOffset? KillRequestedAt { get; init; }

    public string KilledBy { get; init; } = "";

    public bool Recorded { get; init; }
}
