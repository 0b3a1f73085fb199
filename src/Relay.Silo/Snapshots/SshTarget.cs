using System.Text.Json;
using Relay.Protocol.Tunnel;

namespace Relay.Silo.Snapshots;

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
/// <param name="IsBuiltIn">The connector's built-in SSH service; then host and port mean nothing.</param>
/// <param name="Hostname">As the connector resolves it; empty for the built-in service.</param>
/// <param name="DefinedUsername">The user on the target when the socket defines one; null: the client names it.</param>
/// <param name="UsesConnectorUser">The built-in service runs as the connector's own user; nobody names one.</param>
internal sealed record SshTarget(bool IsBuiltIn, string Hostname, int Port, SshTargetAuthentication Authentication, string? DefinedUsername, bool UsesConnectorUser)
{
    /// <summary>True when a stream to <paramref name="target"/> is one to this upstream.</summary>
    public bool Leads(StreamTarget target) => IsBuiltIn
        ? target.IsBuiltInSsh
        : !target.IsBuiltInSsh && target.Port == Port && string.Equals(target.Host, Hostname, StringComparison.OrdinalIgnoreCase);

    /// <summary>Reads upstream_configuration. Null: not an SSH upstream that this version serves.</summary>
    public static SshTarget? TryRead(string json)
    {
        try
        {
            using var document = JsonDocument.Parse(json);
            var root = document.RootElement;
            if (Text(root, "service_type") != "ssh" || !root.TryGetProperty("ssh_service_configuration", out var ssh) || ssh.ValueKind != JsonValueKind.Object)
                return null;

            var provider = Text(ssh, "username_provider");
            var username = Text(ssh, "username") is { Length: > 0 } name && provider is null or "defined" ? Text(ssh, "username") : null;
            switch (Text(ssh, "ssh_service_type"))
            {
                case "connector_built_in_ssh_service":
                    return new SshTarget(true, "", 0, SshTargetAuthentication.Certificate, username, provider == "use_connector_user");
                case "standard" when Text(ssh, "hostname") is { Length: > 0 } host && ReadPort(ssh) is { } port && ReadAuthentication(Text(ssh, "ssh_authentication_type")) is { } authentication:
                    return new SshTarget(false, host, port, authentication, username, false);
                default:
                    return null;
            }
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static string? Text(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static int? ReadPort(JsonElement ssh)
    {
        if (!ssh.TryGetProperty("port", out var value) || value.ValueKind == JsonValueKind.Null)
            return 22;
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
