namespace Relay.Api;

/// <summary><c>POST /api/v1/devices</c>: the caller's own. The private key stays where it was made.</summary>
public sealed record DeviceCreate
{
    /// <summary>1 to 63 letters, digits and hyphens; the user's other devices have other names.</summary>
    public string? Name { get; init; }

    /// <summary>WireGuard public key: 32 bytes, base64. One device in the grid has it, also after it was revoked.</summary>
    public string? PublicKey { get; init; }

    /// <summary>Write-only: 32 bytes, base64. Absent: none.</summary>
    public string? PresharedKey { get; init; }
}

/// <summary><c>PATCH /api/v1/devices/{device}</c></summary>
public sealed record DeviceUpdate
{
    public string? Name { get; init; }
}

/// <summary>A user's WireGuard device, with what its configuration file needs.</summary>
public sealed record DeviceResource : Confirmed
{
    public required Guid DeviceId { get; init; }

    public required string Name { get; init; }

    /// <summary>Whose it is; the name is the e-mail address.</summary>
    public required NamedRef User { get; init; }

    /// <summary>32 bytes, base64.</summary>
    public required string PublicKey { get; init; }

    public required SecretState PresharedKey { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>When the user last logged in and said so for this device, by creating or renewing it.</summary>
    public required DateTimeOffset RenewedAt { get; init; }

    /// <summary>From then on the tunnel stays up and nothing new is reached through it, until it is renewed. Null: never.</summary>
    public DateTimeOffset? LoginValidUntil { get; init; }

    public required DeviceStatus Status { get; init; }

    public required DeviceConfiguration Configuration { get; init; }
}

/// <summary>What gateways last said of a device, at most some seconds old.</summary>
public sealed record DeviceStatus
{
    /// <summary>Null: it was never heard.</summary>
    public DateTimeOffset? LastHandshakeAt { get; init; }

    /// <summary>"ip:port" its packets came from; empty: it was never heard.</summary>
    public required string Endpoint { get; init; }

    /// <summary>The gateway that heard it last; empty: none did.</summary>
    public required string Gateway { get; init; }

    /// <summary>From the device, as <c>wg show</c> counts, over all gateways.</summary>
    public required long BytesUp { get; init; }

    public required long BytesDown { get; init; }
}

/// <summary>What a device's configuration says besides its private key.</summary>
public sealed record DeviceConfiguration
{
    /// <summary>Its addresses inside the tunnel, "100.124.0.1/32": at most one of each family.</summary>
    public required IReadOnlyList<string> Addresses { get; init; }

    /// <summary>The one public key that all gateways have: 32 bytes, base64.</summary>
    public required string PublicKey { get; init; }

    /// <summary>Where the gateways are: any of them will do. Empty: none that serves WireGuard is up.</summary>
    public required IReadOnlyList<DeviceGateway> Gateways { get; init; }

    /// <summary>What goes through the tunnel, CIDR.</summary>
    public required IReadOnlyList<string> AllowedIps { get; init; }

    /// <summary>Resolvers inside the tunnel.</summary>
    public required IReadOnlyList<string> Dns { get; init; }

    /// <summary>What the names end with that they know.</summary>
    public required string DnsSuffix { get; init; }

    /// <summary>Longest packet inside, in bytes.</summary>
    public required int Mtu { get; init; }

    /// <summary>How often a silent device speaks, so that what is between it and the gateway does not forget it.</summary>
    public required int PersistentKeepaliveSeconds { get; init; }
}

/// <param name="Name">The gateway's.</param>
/// <param name="Address">"host:port", UDP.</param>
public sealed record DeviceGateway(string Name, string Address);
