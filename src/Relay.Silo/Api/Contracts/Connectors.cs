namespace Relay.Api;

public sealed record ConnectorResource : Confirmed
{
    public required Guid ConnectorId { get; init; }

    public required string Name { get; init; }

    public required string Description { get; init; }

    /// <summary>"online" or "offline".</summary>
    public required string Status { get; init; }

    public required bool IsConnected { get; init; }

    /// <summary>Null: never.</summary>
    public DateTimeOffset? LastSeenAt { get; init; }

    /// <summary>Since when, from which address and to which silo it is connected; null when offline.</summary>
    public DateTimeOffset? ConnectedSince { get; init; }

    public string? ConnectedFrom { get; init; }

    public string? Silo { get; init; }

    /// <summary>Tokens neither revoked nor expired.</summary>
    public required int ActiveTokens { get; init; }

    public required IReadOnlyList<NamedRef> Sockets { get; init; }

    /// <summary>What the agent told about itself: version, host, os, …</summary>
    public required IReadOnlyDictionary<string, string> Metadata { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }
}

public sealed record ConnectorWrite
{
    /// <summary>1–63 letters, digits, hyphens; unique, whatever the case.</summary>
    public string? Name { get; init; }

    public string? Description { get; init; }
}

public sealed record ConnectorTokenResource : Confirmed
{
    public required Guid Id { get; init; }

    public required string Name { get; init; }

    public required Guid ConnectorId { get; init; }

    public required string ConnectorName { get; init; }

    public required string CreatedBy { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>Null: never.</summary>
    public DateTimeOffset? ExpiresAt { get; init; }

    public DateTimeOffset? LastUsedAt { get; init; }

    public DateTimeOffset? RevokedAt { get; init; }

    /// <summary>"active", "expired" or "revoked".</summary>
    public required string Status { get; init; }

    /// <summary>The token itself: in the answer that created it, and never again.</summary>
    public string? Token { get; init; }
}

/// <summary>Creates a connector token or a gateway token.</summary>
public sealed record TokenCreate
{
    public string? Name { get; init; }

    /// <summary>Absent: never, unless <see cref="ExpiresInDays"/> is given.</summary>
    public DateTimeOffset? ExpiresAt { get; init; }

    /// <summary>0: never.</summary>
    public int? ExpiresInDays { get; init; }
}

public sealed record GatewayTokenResource : Confirmed
{
    public required Guid Id { get; init; }

    public required string Name { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    public DateTimeOffset? ExpiresAt { get; init; }

    public DateTimeOffset? RevokedAt { get; init; }

    /// <summary>"active", "expired" or "revoked".</summary>
    public required string Status { get; init; }

    /// <summary>In the answer that created it, and never again.</summary>
    public string? Token { get; init; }
}
