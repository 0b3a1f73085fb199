using System.Net;
using System.Text.RegularExpressions;
using Relay.Api;
using Relay.Protocol.Ssh;
using Relay.Silo.Api.Http;
using Relay.Silo.Secrets;

namespace Relay.Silo.Api.Resources;

/// <summary>
/// Checks upstream_configuration and separates its secrets. What this release cannot serve is refused with that reason; a socket
/// that exists works.
/// </summary>
internal static partial class SshUpstreamValidator
{
    public const string Standard = "standard";
    public const string BuiltIn = "connector_built_in_ssh_service";

    private const int MaxHosts = 32;

    private const string Field = "upstream_configuration";
    private const string Ssh = Field + ".ssh_service_configuration";
    private const string NotAvailable = "is not available in this release; available: ";

    private static readonly string[] LaterServices = ["database", "http", "tls", "tcp", "rdp", "vnc", "kubernetes", "subnet_router", "exit_node", "elasticsearch", "snowflake", "aws_s3", "aws_access", "vpn"];
    private static readonly string[] LaterKinds = ["aws_ec2_instance_connect", "aws_ssm", "docker_exec", "kubectl_exec"];

    /// <summary>The stored form of a request's configuration and the secrets that came with it.</summary>
    /// <param name="socketType">The socket's type, when the request names it.</param>
    /// <param name="present">The stored configuration when this is an update; null in a create.</param>
    /// <param name="presentSecrets">What is stored now.</param>
    public static (UpstreamConfiguration Configuration, SocketSecrets Secrets)? Validate(UpstreamConfigurationWrite? request, string? socketType, UpstreamConfiguration? present, SocketSecrets presentSecrets, FieldErrors errors)
    {
        if (!CheckType("socket_type", socketType, errors))
            return null;
        if (request is null)
        {
            errors.Add(Field, "is required");
            return null;
        }
        if (!CheckType(Field + ".service_type", request.ServiceType ?? socketType ?? "", errors))
            return null;
        if (request.SshServiceConfiguration is not { } ssh)
        {
            errors.Add(Ssh, "is required");
            return null;
        }
        switch (ssh.SshServiceType)
        {
            case Standard:
                return ValidateStandard(ssh, present?.SshServiceConfiguration, presentSecrets, errors);
            case BuiltIn:
                return ValidateBuiltIn(ssh, errors);
            case null:
                errors.Add(Ssh + ".ssh_service_type", $"is required: {Standard} or {BuiltIn}");
                return null;
            case var kind:
                errors.Add(Ssh + ".ssh_service_type", LaterKinds.Contains(kind) ? $"{kind} {NotAvailable}{Standard}, {BuiltIn}" : $"must be {Standard} or {BuiltIn}");
                return null;
        }
    }

    private static bool CheckType(string field, string? type, FieldErrors errors)
    {
        if (type is null or "ssh")
            return true;
        errors.Add(field, LaterServices.Contains(type) ? $"{type} {NotAvailable}ssh" : "must be ssh");
        return false;
    }

    private static (UpstreamConfiguration, SocketSecrets) ValidateStandard(SshServiceConfigurationWrite ssh, SshServiceConfiguration? present, SocketSecrets presentSecrets, FieldErrors errors)
    {
        var hosts = Hosts(ssh, errors);
        var authentication = errors.OneOf(Ssh + ".ssh_authentication_type", ssh.SshAuthenticationType, "relay_certificate", "relay_certificate", "username_and_password", "private_key");
        var username = Username(ssh.Username, errors);
        var provider = errors.OneOf(Ssh + ".username_provider", ssh.UsernameProvider, username.Length > 0 ? "defined" : "prompt_client", "defined", "prompt_client", "use_connector_user");
        if (provider == "use_connector_user")
            errors.Add(Ssh + ".username_provider", $"use_connector_user is for {BuiltIn} only");
        CheckProvider(provider, username, errors);
        // A stored secret is one account's: who may choose the account would choose for what the secret is tried.
        if (authentication != "relay_certificate" && provider != "defined")
            errors.Add(Ssh + ".username_provider", $"must be defined, with a username, for {authentication}");

        var sameTarget = present is { SshServiceType: Standard } && present.Username == username
            && hosts.SequenceEqual(present.Hosts ?? [new PoolHost(present.Hostname ?? "", present.Port ?? 0)], SameHost.Instance);
        var password = Secret("password", ssh.Password, authentication == "username_and_password", sameTarget ? presentSecrets.Password : null, presentSecrets.Password is not null, errors);
        var privateKey = Secret("private_key", ssh.PrivateKey, authentication == "private_key", sameTarget ? presentSecrets.PrivateKey : null, presentSecrets.PrivateKey is not null, errors);
        if (ssh.PrivateKey is { Length: > 0 } && privateKey is not null)
            CheckPrivateKey(privateKey, errors);
        var configuration = new SshServiceConfiguration
        {
            SshServiceType = Standard,
            Hostname = hosts[0].Hostname,
            Port = hosts[0].Port,
            Hosts = hosts.Count > 1 ? hosts : null,
            SshAuthenticationType = authentication,
            UsernameProvider = provider,
            Username = username,
            Password = new SecretState(password is not null),
            PrivateKey = new SecretState(privateKey is not null),
        };
        return (new UpstreamConfiguration { ServiceType = "ssh", SshServiceConfiguration = configuration }, new SocketSecrets(password, privateKey));
    }

    private static (UpstreamConfiguration, SocketSecrets) ValidateBuiltIn(SshServiceConfigurationWrite ssh, FieldErrors errors)
    {
        foreach (var (name, given) in new[] { ("hostname", ssh.Hostname), ("hosts", ssh.Hosts is null ? null : "given"), ("ssh_authentication_type", ssh.SshAuthenticationType), ("password", ssh.Password), ("private_key", ssh.PrivateKey), ("port", ssh.Port?.ToString(System.Globalization.CultureInfo.InvariantCulture)) })
        {
            if (given is not null)
                errors.Add($"{Ssh}.{name}", $"has no meaning for {BuiltIn}");
        }
        var username = Username(ssh.Username, errors);
        var provider = errors.OneOf(Ssh + ".username_provider", ssh.UsernameProvider, username.Length > 0 ? "defined" : "use_connector_user", "defined", "prompt_client", "use_connector_user");
        CheckProvider(provider, username, errors);
        var configuration = new SshServiceConfiguration
        {
            SshServiceType = BuiltIn,
            UsernameProvider = provider,
            Username = username,
            Password = new SecretState(false),
            PrivateKey = new SecretState(false),
        };
        return (new UpstreamConfiguration { ServiceType = "ssh", SshServiceConfiguration = configuration }, new SocketSecrets(null, null));
    }

    private static void CheckProvider(string provider, string username, FieldErrors errors)
    {
        if (provider == "defined" && username.Length == 0)
            errors.Add(Ssh + ".username", "is required when username_provider is defined");
        if (provider is "prompt_client" or "use_connector_user" && username.Length > 0)
            errors.Add(Ssh + ".username", $"must be empty when username_provider is {provider}");
    }

    /// <summary>At least one entry, whatever is wrong.</summary>
    private static List<PoolHost> Hosts(SshServiceConfigurationWrite ssh, FieldErrors errors)
    {
        if (ssh.Hosts is null)
            return [Host(Ssh, ssh.Hostname, ssh.Port, errors)];
        if (ssh.Hostname is not null)
            errors.Add(Ssh + ".hostname", "is given together with hosts");
        if (ssh.Port is not null)
            errors.Add(Ssh + ".port", "is given together with hosts");
        if (ssh.Hosts.Count is 0 or > MaxHosts)
            errors.Add(Ssh + ".hosts", $"must be 1 to {MaxHosts} of {{\"hostname\":…,\"port\":…}}");
        var hosts = new List<PoolHost>();
        for (var i = 0; i < Math.Min(ssh.Hosts.Count, MaxHosts); i++)
        {
            var host = Host($"{Ssh}.hosts[{i}]", ssh.Hosts[i].Hostname, ssh.Hosts[i].Port, errors);
            if (hosts.Contains(host, SameHost.Instance))
                errors.Add($"{Ssh}.hosts[{i}]", "is in the pool already");
            hosts.Add(host);
        }
        return hosts.Count > 0 ? hosts : [new PoolHost("", 0)];
    }

    private static PoolHost Host(string field, string? hostname, int? port, FieldErrors errors)
    {
        if (port is < 1 or > 65535)
            errors.Add(field + ".port", "must be 1 to 65535");
        return new PoolHost(Hostname(field, hostname, errors), port ?? 22);
    }

    private static string Hostname(string field, string? value, FieldErrors errors)
    {
        if (string.IsNullOrEmpty(value))
            errors.Add(field + ".hostname", "is required");
        else if (!HostPattern().IsMatch(value) && !(value.Contains(':', StringComparison.Ordinal) && !value.Contains('%', StringComparison.Ordinal) && IPAddress.TryParse(value, out _)))
            errors.Add(field + ".hostname", "must be a host name or an IP address");
        return value ?? "";
    }

    private static string Username(string? value, FieldErrors errors)
    {
        if (!string.IsNullOrEmpty(value) && !UserPattern().IsMatch(value))
            errors.Add(Ssh + ".username", "must be 1 to 64 letters, digits and . _ @ -, not starting with a hyphen");
        return value ?? "";
    }

    /// <param name="kept">The stored secret when it may be kept; null: there is none, or the target changed.</param>
    private static string? Secret(string name, string? given, bool wanted, string? kept, bool isStored, FieldErrors errors)
    {
        var field = $"{Ssh}.{name}";
        if (!wanted)
        {
            if (!string.IsNullOrEmpty(given))
                errors.Add(field, "has no meaning for this ssh_authentication_type");
            return null;
        }
        if (string.IsNullOrEmpty(given))
        {
            // SECURITY: otherwise whoever may edit a socket could send its secret to a host of theirs.
            if (kept is null)
                errors.Add(field, isStored ? "has to be given again, because host, port or username changes" : "is required for this ssh_authentication_type");
            return kept;
        }
        if (given.StartsWith("from:", StringComparison.Ordinal) || given.Contains("${from:", StringComparison.Ordinal))
            errors.Add(field, "secret references (from:…) are not available in this release");
        if (given.Length > 16 * 1024)
            errors.Add(field, "must be at most 16384 characters");
        return given;
    }

    private static void CheckPrivateKey(string pem, FieldErrors errors)
    {
        if (SshPrivateKey.TryImport(pem, out var key, out var error))
            key.Dispose();
        else
            errors.Add(Ssh + ".private_key", error);
    }

    /// <summary>Names of hosts have no case.</summary>
    private sealed class SameHost : IEqualityComparer<PoolHost>
    {
        public static readonly SameHost Instance = new();

        public bool Equals(PoolHost? x, PoolHost? y) => x?.Port == y?.Port && string.Equals(x?.Hostname, y?.Hostname, StringComparison.OrdinalIgnoreCase);

        public int GetHashCode(PoolHost obj) => HashCode.Combine(obj.Port, StringComparer.OrdinalIgnoreCase.GetHashCode(obj.Hostname));
    }

    [GeneratedRegex(@"^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\z", RegexOptions.CultureInvariant)]
    private static partial Regex HostPattern();

    [GeneratedRegex(@"^[A-Za-z0-9_.][A-Za-z0-9._@-]{0,62}\$?\z", RegexOptions.CultureInvariant)]
    private static partial Regex UserPattern();
}
