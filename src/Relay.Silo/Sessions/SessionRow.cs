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
internal sealed record StoredSession(
    Guid SessionId,
    Guid OrganizationId,
    Guid UserId,
    string UserEmail,
    Guid? SocketId,
    string SocketName,
    string SshUser,
    string ClientIp,
    string Gateway,
    string Credential,
    DateTime StartTime,
    DateTime? EndTime,
    string Outcome,
    DateTime? KillRequestedAt,
    string KilledBy,
    bool Recorded);
