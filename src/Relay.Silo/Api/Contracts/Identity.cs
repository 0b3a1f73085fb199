namespace Relay.Api;

/// <summary><c>POST /api/v1/login</c></summary>
public sealed record LoginRequest
{
    public string? Email { get; init; }

    public string? Password { get; init; }

    /// <summary>Organization name; absent: "default".</summary>
    public string? Organization { get; init; }
}

public sealed record LoginResponse
{
    /// <summary>Bearer token; shown here only.</summary>
    public required string Token { get; init; }

    public required DateTimeOffset ExpiresAt { get; init; }

    public required Me Me { get; init; }
}

/// <summary><c>GET /api/v1/me</c></summary>
public sealed record Me
{
    public required Guid UserId { get; init; }

    public required string Email { get; init; }

    public required string DisplayName { get; init; }

    /// <summary>admin, member, read_only or client.</summary>
    public required string Role { get; init; }

    /// <summary>"user".</summary>
    public required string IdentityType { get; init; }

    public required NamedRef Organization { get; init; }

    public required DateTimeOffset LoginExpiresAt { get; init; }
}

/// <summary><c>PUT /api/v1/me/password</c>; ends every other login of the user.</summary>
public sealed record PasswordChange
{
    public string? CurrentPassword { get; init; }

    /// <summary>12 to 256 characters.</summary>
    public string? NewPassword { get; init; }
}

/// <summary><c>GET /api/v1/organization</c></summary>
public sealed record OrganizationResource : Confirmed
{
    public required Guid OrganizationId { get; init; }

    public required string Name { get; init; }

    /// <summary>OpenSSH line that targets put into TrustedUserCAKeys.</summary>
    public required string SshCa { get; init; }

    /// <summary>OpenSSH line of the CA that signs users' certificates.</summary>
    public required string UserCa { get; init; }

    /// <summary>How long after its user's login a WireGuard device may begin something new; then it has to be renewed. 0: for ever.</summary>
    public required int DeviceLoginSeconds { get; init; }

    /// <summary>Grows with every change a decision may depend on.</summary>
    public required long Version { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }
}

/// <summary><c>PATCH /api/v1/organization</c></summary>
public sealed record OrganizationUpdate
{
    /// <summary>300 to 31536000 (a year), or 0 for ever; the default is 604800 (a week). A shorter one counts at once for the devices there are, a longer one with their renewal.</summary>
    public int? DeviceLoginSeconds { get; init; }
}

public sealed record UserResource : Confirmed
{
    public required Guid UserId { get; init; }

    public required string Email { get; init; }

    public required string DisplayName { get; init; }

    public required string Role { get; init; }

    public required SecretState Password { get; init; }

    /// <summary>Until then no login is tried, after repeated failures; null: not locked.</summary>
    public DateTimeOffset? LockedUntil { get; init; }

    public required IReadOnlyList<NamedRef> Groups { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }
}

public sealed record UserCreate
{
    public string? Email { get; init; }

    public string? DisplayName { get; init; }

    /// <summary>Absent: "client".</summary>
    public string? Role { get; init; }

    /// <summary>Write-only, 12 to 256 characters; absent: the user has no local password.</summary>
    public string? Password { get; init; }
}

public sealed record UserUpdate
{
    public string? DisplayName { get; init; }

    /// <summary>Nobody changes their own; the last admin stays one.</summary>
    public string? Role { get; init; }

    /// <summary>Write-only; ends every login of the user.</summary>
    public string? Password { get; init; }
}

public sealed record SshKeyResource : Confirmed
{
    public required Guid KeyId { get; init; }

    public required string Name { get; init; }

    /// <summary>"SHA256:…"</summary>
    public required string Fingerprint { get; init; }

    /// <summary>OpenSSH line.</summary>
    public required string PublicKey { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    public DateTimeOffset? LastUsedAt { get; init; }
}

public sealed record SshKeyCreate
{
    /// <summary>OpenSSH line; one key belongs to one user.</summary>
    public string? PublicKey { get; init; }

    /// <summary>Absent: the line's comment.</summary>
    public string? Name { get; init; }
}

public sealed record GroupResource : Confirmed
{
    public required Guid GroupId { get; init; }

    public required string DisplayName { get; init; }

    /// <summary>Users; the names are e-mail addresses.</summary>
    public required IReadOnlyList<NamedRef> Members { get; init; }
}

public sealed record GroupWrite
{
    public string? DisplayName { get; init; }

    /// <summary>User ids or e-mail addresses; in an update they replace the members, absent: unchanged.</summary>
    public IReadOnlyList<string>? Members { get; init; }
}
