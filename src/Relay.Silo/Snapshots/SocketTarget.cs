using System.Text.Json;
using Relay.Protocol.Tunnel;

namespace Relay.Silo.Snapshots;

/// <summary>What a socket carries.</summary>
internal enum SocketKind
{
    /// <summary>SSH: the gateway logs in to the target.</summary>
    Ssh = 0,

    /// <summary>Raw TCP connections, each a stream of its own.</summary>
    Tcp,

    /// <summary>Datagrams.</summary>
    Udp,
}

/// <summary>How a socket's upstream is logged in to.</summary>
internal enum SshTargetAuthentication
{
    /// <summary>A key of the session's own, certified by the organization's SSH CA.</summary>
    Certificate = 0,

    /// <summary>A stored private key.</summary>
    PrivateKey,

    /// <summary>A stored password.</summary>
    Password,
}

/// <summary>The part of a socket's upstream configuration that a session needs; secrets are not in it.</summary>
/// <param name="Kind">What it carries; what the parameters after <paramref name="Hosts"/> say is for SSH only.</param>
/// <param name="IsBuiltIn">The connector's built-in SSH service.</param>
/// <param name="Hosts">What the connector dials: one of these. Never empty; one entry for the built-in service.</param>
/// <param name="DefinedUsername">The user on the target when the socket defines one; null: the client names it.</param>
/// <param name="UsesConnectorUser">The built-in service runs as the connector's own user; nobody names one.</param>
internal sealed record SocketTarget(SocketKind Kind, bool IsBuiltIn, IReadOnlyList<StreamTarget> Hosts, SshTargetAuthentication Authentication, string? DefinedUsername, bool UsesConnectorUser)
{
    /// <summary>Nothing is recorded and nobody logs in: the bytes are the user's and the target's affair.</summary>
    public bool IsRaw => Kind is not SocketKind.Ssh;

    /// <summary>socket_type, and session_type of its sessions.</summary>
    public string SocketType => Kind switch { SocketKind.Ssh => "ssh", SocketKind.Tcp => "tls", _ => "udp" };

    /// <summary>For messages: "host:port", or all of them.</summary>
    public string Describe() => string.Join(", ", Hosts.Select(h => h.Address));

    /// <summary>True when a stream to <paramref name="target"/> is one to this upstream.</summary>
    public bool Leads(StreamTarget target) =>
        Hosts.Any(h => h.IsBuiltInSsh == target.IsBuiltInSsh && h.IsUdp == target.IsUdp && h.Port == target.Port && string.Equals(h.Host, target.Host, StringComparison.OrdinalIgnoreCase));

    /// <summary>Reads upstream_configuration. Null: not an upstream that this version serves.</summary>
    public static SocketTarget? TryRead(string json)
    {
        try
        {
            using var document = JsonDocument.Parse(json);
            var root = document.RootElement;
            if (Text(root, "service_type") is not { } type || !root.TryGetProperty(type + "_service_configuration", out var service) || service.ValueKind != JsonValueKind.Object)
                return null;
            return type switch
            {
                "ssh" => ReadSsh(service),
                "tls" when Text(service, "tls_service_type") == "standard" => ReadRaw(SocketKind.Tcp, service),
                "udp" => ReadRaw(SocketKind.Udp, service),
                _ => null,
            };
        }
        catch (Exception e) when (e is JsonException or ArgumentException)
        {
            return null;
        }
    }

    private static SocketTarget? ReadRaw(SocketKind kind, JsonElement service) =>
        ReadHosts(service, defaultPort: null, kind) is { Count: > 0 } hosts ? new SocketTarget(kind, false, hosts, SshTargetAuthentication.Certificate, null, false) : null;

    private static SocketTarget? ReadSsh(JsonElement ssh)
    {
        var provider = Text(ssh, "username_provider");
        var username = Text(ssh, "username") is { Length: > 0 } name && provider is null or "defined" ? Text(ssh, "username") : null;
        switch (Text(ssh, "ssh_service_type"))
        {
            case "connector_built_in_ssh_service":
                return new SocketTarget(SocketKind.Ssh, true, [StreamTarget.BuiltInSsh], SshTargetAuthentication.Certificate, username, provider == "use_connector_user");
            case "standard" when ReadHosts(ssh, defaultPort: 22) is { Count: > 0 } hosts && ReadAuthentication(Text(ssh, "ssh_authentication_type")) is { } authentication:
                return new SocketTarget(SocketKind.Ssh, false, hosts, authentication, username, false);
            default:
                return null;
        }
    }

    // A pool names its members; its first one is also where a single host is.
    private static List<StreamTarget> ReadHosts(JsonElement service, int? defaultPort, SocketKind kind = SocketKind.Ssh)
    {
        var hosts = new List<StreamTarget>();
        var members = service.TryGetProperty("hosts", out var pool) && pool.ValueKind == JsonValueKind.Array ? pool.EnumerateArray().ToArray() : [service];
        foreach (var member in members)
        {
            if (Text(member, "hostname") is not { Length: > 0 } host || ReadPort(member, defaultPort) is not { } port)
                return [];
            hosts.Add(kind == SocketKind.Udp ? StreamTarget.Udp(host, port) : StreamTarget.Tcp(host, port));
        }

        return hosts;
    }

    private static string? Text(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static int? ReadPort(JsonElement service, int? absent)
    {
        if (!service.TryGetProperty("port", out var value) || value.ValueKind == JsonValueKind.Null)
            return absent;
        return value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var port) && port is > 0 and <= 65535 ? port : null;
    }

    private static SshTargetAuthentication? ReadAuthentication(string? text) => text switch
    {
        null or "" or "relay_certificate" => SshTargetAuthentication.Certificate,
        "private_key" => SshTargetAuthentication.PrivateKey,
        "username_and_password" => SshTargetAuthentication.Password,
        _ => null,
    };
}
