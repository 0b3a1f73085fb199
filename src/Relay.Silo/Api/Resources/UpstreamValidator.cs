using Relay.Api;
using Relay.Silo.Api.Http;
using Relay.Silo.Secrets;

namespace Relay.Silo.Api.Resources;

/// <summary>
/// Checks upstream_configuration and separates its secrets. What this release cannot serve is refused with that reason; a socket
/// that exists works.
/// </summary>
internal static class UpstreamValidator
{
    public const string Field = "upstream_configuration";
    public const string NotAvailable = "is not available in this release; available: ";

    private const string Tls = Field + ".tls_service_configuration";
    private const string Udp = Field + ".udp_service_configuration";
    private const string Standard = "standard";

    private static readonly string[] Types = ["ssh", "tls", "udp"];
    private static readonly string[] LaterServices = ["database", "http", "rdp", "vnc", "kubernetes", "subnet_router", "exit_node", "elasticsearch", "snowflake", "aws_s3", "aws_access", "vpn"];
    private static readonly SocketSecrets NoSecrets = new(null, null);

    /// <summary>The type as it is stored: tcp is another word for tls.</summary>
    public static string? Canonical(string? type) => type == "tcp" ? "tls" : type;

    /// <summary>The stored form of a request's configuration and the secrets that came with it.</summary>
    /// <param name="socketType">The socket's type, when the request names it, or of the socket that is updated. Null: ssh.</param>
    /// <param name="present">The stored configuration when this is an update; null in a create.</param>
    /// <param name="presentSecrets">What is stored now.</param>
    public static (UpstreamConfiguration Configuration, SocketSecrets Secrets)? Validate(UpstreamConfigurationWrite? request, string? socketType, UpstreamConfiguration? present, SocketSecrets presentSecrets, FieldErrors errors)
    {
        var type = Canonical(socketType ?? request?.ServiceType) ?? "ssh";
        if (!Types.Contains(type))
        {
            errors.Add(socketType is null ? Field + ".service_type" : "socket_type", LaterServices.Contains(type) ? $"{type} {NotAvailable}ssh, tls, udp" : "must be one of ssh, tls (or tcp), udp");
            return null;
        }
        if (request is null)
        {
            errors.Add(Field, "is required");
            return null;
        }
        if (Canonical(request.ServiceType) is { } service && service != type)
        {
            errors.Add(Field + ".service_type", $"must be {type}, like the socket's type");
            return null;
        }
        foreach (var other in new[] { ("ssh", (object?)request.SshServiceConfiguration), ("tls", request.TlsServiceConfiguration), ("udp", request.UdpServiceConfiguration) }.Where(o => o.Item1 != type && o.Item2 is not null))
            errors.Add($"{Field}.{other.Item1}_service_configuration", $"has no meaning for a socket of type {type}");
        return type switch
        {
            "tls" => ValidateTls(request.TlsServiceConfiguration, errors),
            "udp" => ValidateUdp(request.UdpServiceConfiguration, errors),
            _ => SshUpstreamValidator.Validate(request.SshServiceConfiguration, present, presentSecrets, errors),
        };
    }

    private static (UpstreamConfiguration, SocketSecrets)? ValidateTls(TlsServiceConfigurationWrite? tls, FieldErrors errors)
    {
        if (tls is null)
        {
            errors.Add(Tls, "is required");
            return null;
        }
        if (tls.TlsServiceType is "vpn" or "http_proxy")
            errors.Add(Tls + ".tls_service_type", $"{tls.TlsServiceType} {NotAvailable}{Standard}");
        else
            errors.OneOf(Tls + ".tls_service_type", tls.TlsServiceType, Standard, Standard);
        var hosts = UpstreamHosts.Read(Tls, tls.Hostname, tls.Port, tls.Hosts, null, errors);
        var configuration = new TlsServiceConfiguration { TlsServiceType = Standard, Hostname = hosts[0].Hostname, Port = hosts[0].Port, Hosts = hosts.Count > 1 ? hosts : null };
        return (new UpstreamConfiguration { ServiceType = "tls", TlsServiceConfiguration = configuration }, NoSecrets);
    }

    private static (UpstreamConfiguration, SocketSecrets)? ValidateUdp(UdpServiceConfigurationWrite? udp, FieldErrors errors)
    {
        if (udp is null)
        {
            errors.Add(Udp, "is required");
            return null;
        }
        var hosts = UpstreamHosts.Read(Udp, udp.Hostname, udp.Port, udp.Hosts, null, errors);
        var configuration = new UdpServiceConfiguration { Hostname = hosts[0].Hostname, Port = hosts[0].Port, Hosts = hosts.Count > 1 ? hosts : null };
        return (new UpstreamConfiguration { ServiceType = "udp", UdpServiceConfiguration = configuration }, NoSecrets);
    }
}
