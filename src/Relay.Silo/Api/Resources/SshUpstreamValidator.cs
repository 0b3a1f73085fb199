using System.Text.RegularExpressions;
using Relay.Api;
using Relay.Protocol.Ssh;
using Relay.Silo.Api.Http;
using Relay.Silo.Secrets;

namespace Relay.Silo.Api.Resources;

/// <summary>Checks ssh_service_configuration and separates its secrets.</summary>
internal static partial class SshUpstreamValidator
{
    public const string Standard = "standard";
    public const string BuiltIn = "connector_built_in_ssh_service";

    private const string Ssh = UpstreamValidator.Field + ".ssh_service_configuration";

    private static readonly string[] LaterKinds = ["aws_ec2_instance_connect", "aws_ssm", "docker_exec", "kubectl_exec"];

    /// <summary>As <see cref="UpstreamValidator.Validate"/>.</summary>
    public static (UpstreamConfiguration Configuration, SocketSecrets Secrets)? Validate(SshServiceConfigurationWrite? request, UpstreamConfiguration? present, SocketSecrets presentSecrets, FieldErrors errors)
    {
        if (request is not { } ssh)
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
                errors.Add(Ssh + ".ssh_service_type", LaterKinds.Contains(kind) ? $"{kind} {UpstreamValidator.NotAvailable}{Standard}, {BuiltIn}" : $"must be {Standard} or {BuiltIn}");
                return null;
        }
    }

    private static (UpstreamConfiguration, SocketSecrets) ValidateStandard(SshServiceConfigurationWrite ssh, SshServiceConfiguration? present, SocketSecrets presentSecrets, FieldErrors errors)
    {
        var hosts = UpstreamHosts.Read(Ssh, ssh.Hostname, ssh.Port, ssh.Hosts, 22, errors);
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
            && hosts.SequenceEqual(present.Hosts ?? [new PoolHost(present.Hostname ?? "", present.Port ?? 0)], UpstreamHosts.SameHost.Instance);
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

    [GeneratedRegex(@"^[A-Za-z0-9_.][A-Za-z0-9._@-]{0,62}\$?\z", RegexOptions.CultureInvariant)]
    private static partial Regex UserPattern();
}
