using System.Text.Json.Serialization;

namespace Relay.Api;

public sealed record SocketResource : Confirmed
{
    public required Guid SocketId { get; init; }

    public required string Name { get; init; }

    public required string DisplayName { get; init; }

    public required string Description { get; init; }

    /// <summary>"ssh", "tls" (any TCP) or "udp".</summary>
    public required string SocketType { get; init; }

    /// <summary>Name for clients, e.g. "db-host.relay".</summary>
    public required string Dnsname { get; init; }

    public required IReadOnlyDictionary<string, string> Tags { get; init; }

    public required bool RecordingEnabled { get; init; }

    public required UpstreamConfiguration UpstreamConfiguration { get; init; }

    public required IReadOnlyList<SocketConnector> Connectors { get; init; }

    /// <summary>Attached ones; organization-wide policies and tag rules may admit more.</summary>
    public required IReadOnlyList<NamedRef> Policies { get; init; }

    /// <summary>True when a connector that serves the socket is online.</summary>
    public required bool Alive { get; init; }

    /// <summary>What is behind it; one entry, or the members of the pool. Empty for the connector's own SSH service.</summary>
    public required IReadOnlyList<SocketHost> Hosts { get; init; }

    /// <summary>Why it is not alive, or what is worth knowing, e.g. that no policy admits anyone; empty: nothing.</summary>
    public required string StatusReason { get; init; }

    public DateTimeOffset? LastSeen { get; init; }

    /// <summary>Accepted host keys of the target (OpenSSH lines); empty: the first administrator who connects pins one.</summary>
    public required IReadOnlyList<string> HostKeys { get; init; }

    /// <summary>Also the ETag: send it back as If-Match.</summary>
    public required long Version { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }
}

public sealed record SocketConnector(Guid Id, string Name, bool IsConnected);

/// <summary>What is behind the socket; exactly the sub-object that <see cref="ServiceType"/> names.</summary>
public sealed record UpstreamConfiguration
{
    public required string ServiceType { get; init; }

    public SshServiceConfiguration? SshServiceConfiguration { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public TlsServiceConfiguration? TlsServiceConfiguration { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public UdpServiceConfiguration? UdpServiceConfiguration { get; init; }
}

/// <summary>Any TCP service, as it is: whatever it speaks, TLS or not, passes untouched.</summary>
public sealed record TlsServiceConfiguration
{
    /// <summary>"standard".</summary>
    public required string TlsServiceType { get; init; }

    /// <summary>As the connector resolves it.</summary>
    public required string Hostname { get; init; }

    public required int Port { get; init; }

    /// <summary>A pool: each connection goes to the member that works and has the fewest; <see cref="Hostname"/> and <see cref="Port"/> are the first one's. Null: there is one host.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<PoolHost>? Hosts { get; init; }
}

/// <summary>A UDP service.</summary>
public sealed record UdpServiceConfiguration
{
    /// <summary>As the connector resolves it.</summary>
    public required string Hostname { get; init; }

    public required int Port { get; init; }

    /// <summary>A pool of equals; <see cref="Hostname"/> and <see cref="Port"/> are the first one's. Null: there is one host.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<PoolHost>? Hosts { get; init; }
}

public sealed record SshServiceConfiguration
{
    /// <summary>"standard" or "connector_built_in_ssh_service".</summary>
    public required string SshServiceType { get; init; }

    /// <summary>As the connector resolves it; null for the built-in service, like <see cref="Port"/> and <see cref="SshAuthenticationType"/>.</summary>
    public string? Hostname { get; init; }

    public int? Port { get; init; }

    /// <summary>A pool: each session goes to the member that works and has the fewest; <see cref="Hostname"/> and <see cref="Port"/> are the first one's. Null: there is one host.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<PoolHost>? Hosts { get; init; }

    /// <summary>"relay_certificate", "username_and_password" or "private_key".</summary>
    public string? SshAuthenticationType { get; init; }

    /// <summary>"defined", "prompt_client" or "use_connector_user" (built-in service only).</summary>
    public required string UsernameProvider { get; init; }

    /// <summary>Empty unless <see cref="UsernameProvider"/> is "defined".</summary>
    public required string Username { get; init; }

    public required SecretState Password { get; init; }

    public required SecretState PrivateKey { get; init; }
}

/// <summary>A member of a pool, as the connector resolves it.</summary>
public sealed record PoolHost(string Hostname, int Port);

/// <summary>Whether a host of the socket is reached.</summary>
/// <param name="Host">"host:port".</param>
/// <param name="Healthy">False: no connector that is online reaches it.</param>
/// <param name="Reason">Why not, or which connector does not; empty: nothing is known against it.</param>
public sealed record SocketHost(string Host, bool Healthy, string Reason);

public sealed record SocketCreate
{
    /// <summary>1–63 letters, digits, hyphens; unique, whatever the case.</summary>
    public string? Name { get; init; }

    public string? DisplayName { get; init; }

    public string? Description { get; init; }

    /// <summary>"ssh", "tls" (or "tcp", which is the same) or "udp"; other types are refused in this release. Absent: that of the upstream configuration.</summary>
    public string? SocketType { get; init; }

    public IReadOnlyDictionary<string, string>? Tags { get; init; }

    /// <summary>Connector ids or names.</summary>
    public IReadOnlyList<string>? ConnectorIds { get; init; }

    /// <summary>Absent: true, and false for tls and udp, whose bytes are not recorded.</summary>
    public bool? RecordingEnabled { get; init; }

    public UpstreamConfigurationWrite? UpstreamConfiguration { get; init; }

    /// <summary>OpenSSH lines, or "@cert-authority …" lines.</summary>
    public IReadOnlyList<string>? HostKeys { get; init; }
}

public sealed record SocketUpdate
{
    public string? Name { get; init; }

    public string? DisplayName { get; init; }

    public string? Description { get; init; }

    public IReadOnlyDictionary<string, string>? Tags { get; init; }

    public IReadOnlyList<string>? ConnectorIds { get; init; }

    public bool? RecordingEnabled { get; init; }

    /// <summary>Replaces the whole configuration. A stored secret is kept when host, port and username stay; otherwise it has to be sent again, so that nobody can redirect it to a host of theirs.</summary>
    public UpstreamConfigurationWrite? UpstreamConfiguration { get; init; }

    /// <summary>Empty list: forget the pinned keys.</summary>
    public IReadOnlyList<string>? HostKeys { get; init; }
}

public sealed record UpstreamConfigurationWrite
{
    public string? ServiceType { get; init; }

    public SshServiceConfigurationWrite? SshServiceConfiguration { get; init; }

    public TlsServiceConfigurationWrite? TlsServiceConfiguration { get; init; }

    public UdpServiceConfigurationWrite? UdpServiceConfiguration { get; init; }
}

public sealed record TlsServiceConfigurationWrite
{
    /// <summary>Absent: "standard"; other kinds are refused in this release.</summary>
    public string? TlsServiceType { get; init; }

    public string? Hostname { get; init; }

    public int? Port { get; init; }

    /// <summary>A pool of 1 to 32 equal hosts, in place of hostname and port.</summary>
    public IReadOnlyList<PoolHostWrite>? Hosts { get; init; }
}

public sealed record UdpServiceConfigurationWrite
{
    public string? Hostname { get; init; }

    public int? Port { get; init; }

    /// <summary>A pool of 1 to 32 equal hosts, in place of hostname and port.</summary>
    public IReadOnlyList<PoolHostWrite>? Hosts { get; init; }
}

public sealed record PoolHostWrite
{
    public string? Hostname { get; init; }

    /// <summary>Absent: 22 for ssh; required for tls and udp.</summary>
    public int? Port { get; init; }
}

public sealed record SshServiceConfigurationWrite
{
    /// <summary>"standard" or "connector_built_in_ssh_service"; other kinds are refused in this release.</summary>
    public string? SshServiceType { get; init; }

    public string? Hostname { get; init; }

    /// <summary>Absent: 22.</summary>
    public int? Port { get; init; }

    /// <summary>A pool of 1 to 32 equal hosts, in place of hostname and port; all with the same credentials, and with host keys that the socket knows.</summary>
    public IReadOnlyList<PoolHostWrite>? Hosts { get; init; }

    /// <summary>Absent: "relay_certificate".</summary>
    public string? SshAuthenticationType { get; init; }

    /// <summary>Absent: "defined" when there is a username, else "prompt_client" (built-in service: "use_connector_user").</summary>
    public string? UsernameProvider { get; init; }

    public string? Username { get; init; }

    /// <summary>Write-only.</summary>
    public string? Password { get; init; }

    /// <summary>Write-only; PEM, not encrypted.</summary>
    public string? PrivateKey { get; init; }
}
