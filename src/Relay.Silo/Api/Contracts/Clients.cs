namespace Relay.Api;

/// <summary>A socket the caller may reach now: <c>GET /api/v1/client/resources</c>.</summary>
public sealed record ClientResource
{
    public required Guid SocketId { get; init; }

    public required string Name { get; init; }

    public required string DisplayName { get; init; }

    public required string SocketType { get; init; }

    public required string Dnsname { get; init; }

    public required IReadOnlyDictionary<string, string> Tags { get; init; }

    public required bool Alive { get; init; }

    public required string StatusReason { get; init; }

    /// <summary>"defined", "prompt_client" or "use_connector_user"; empty where nobody logs in to the target.</summary>
    public required string UsernameProvider { get; init; }

    /// <summary>The user on the target when the socket defines one, else empty.</summary>
    public required string Username { get; init; }
}

/// <summary><c>POST /api/v1/client/ssh_certificate</c>: certifies the caller's key as the caller.</summary>
public sealed record SshCertificateRequest
{
    /// <summary>OpenSSH line; its private key stays with the client.</summary>
    public string? PublicKey { get; init; }

    /// <summary>60 to 86400; absent: 28800 (8 hours). Never longer than the login lasts.</summary>
    public int? LifetimeSeconds { get; init; }
}

public sealed record SshCertificateResponse
{
    /// <summary>OpenSSH certificate line, for id_…-cert.pub.</summary>
    public required string Certificate { get; init; }

    public required DateTimeOffset ValidAfter { get; init; }

    public required DateTimeOffset ValidBefore { get; init; }

    public required string KeyId { get; init; }
}

/// <summary><c>GET /api/v1/client/gateways</c></summary>
public sealed record ClientGateways
{
    public required IReadOnlyList<ClientGateway> Gateways { get; init; }

    /// <summary>OpenSSH line: the one host key all gateways present.</summary>
    public required string HostKey { get; init; }
}

/// <param name="SshAddress">"host:port"</param>
public sealed record ClientGateway(string Name, string SshAddress, DateTimeOffset LastSeenAt);
