using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;
using Relay.Protocol.Grid;

namespace Relay.Gateway.Hosting;

/// <summary>Reads <see cref="GatewayOptions"/> from options (<c>--ssh-listen 0.0.0.0:22</c>) and environment (<c>RELAY_SSH_LISTEN</c>); options win.</summary>
internal static class GatewayOptionsReader
{
    public const string Usage =
        """
        relay-gateway: accepts SSH, asks a silo, records.

        Every option is also an environment variable; the option wins.

          --gateway-token-file FILE   RELAY_GATEWAY_TOKEN_FILE    enrolment token (required)
          --gateway-name NAME         RELAY_GATEWAY_NAME          default: the host's name
          --ssh-listen HOST:PORT      RELAY_SSH_LISTEN            default: 127.0.0.1:2222
          --ssh-advertise HOST:PORT   RELAY_SSH_ADVERTISE         default: the listening address
          --silos HOST:PORT,…         RELAY_SILOS                 default: the token's
          --region NAME               RELAY_REGION                where this gateway is; silos there are preferred among equally near ones
          --state-dir DIR             RELAY_STATE_DIR             default: ./.relay
          --gateway-http-listen H:P   RELAY_GATEWAY_HTTP_LISTEN   /healthz, /readyz, /metrics; default: none
          --drain-seconds N           RELAY_GATEWAY_DRAIN_SECONDS default: 30

        WireGuard, off unless it has an address (see src/Relay.Gateway/WireGuard):
          --wireguard-listen H:P      RELAY_WIREGUARD_LISTEN      [::]:32442 listens on IPv4 and IPv6; default: none
          --wireguard-advertise H:P   RELAY_WIREGUARD_ADVERTISE   where devices reach it; default: that address, or the host of --ssh-advertise
          --wireguard-mtu N           RELAY_WIREGUARD_MTU         1280 to 9000; default: 1420
          --dns-forward A[:P],…       RELAY_DNS_FORWARD           resolvers for names that are not Relay's; default: none, they are refused
        """;

    private static readonly (string Option, string Variable)[] s_settings =
    [
        ("--gateway-token-file", "RELAY_GATEWAY_TOKEN_FILE"),
        ("--gateway-name", "RELAY_GATEWAY_NAME"),
        ("--ssh-listen", "RELAY_SSH_LISTEN"),
        ("--ssh-advertise", "RELAY_SSH_ADVERTISE"),
        ("--silos", "RELAY_SILOS"),
        ("--region", "RELAY_REGION"),
        ("--state-dir", "RELAY_STATE_DIR"),
        ("--gateway-http-listen", "RELAY_GATEWAY_HTTP_LISTEN"),
        ("--drain-seconds", "RELAY_GATEWAY_DRAIN_SECONDS"),
        ("--wireguard-listen", "RELAY_WIREGUARD_LISTEN"),
        ("--wireguard-advertise", "RELAY_WIREGUARD_ADVERTISE"),
        ("--wireguard-mtu", "RELAY_WIREGUARD_MTU"),
        ("--dns-forward", "RELAY_DNS_FORWARD"),
    ];

    /// <summary>Reads and checks all settings; every error at once.</summary>
    public static bool TryRead(IReadOnlyList<string> arguments, Func<string, string?> environment, string hostName, [NotNullWhen(true)] out GatewayOptions? options, out IReadOnlyList<string> errors)
    {
        var found = new List<string>();
        errors = found;
        var values = ReadValues(arguments, environment, found);
        string? Value(string variable) => values.TryGetValue(variable, out var value) && value.Length > 0 ? value : null;

        var read = new GatewayOptions
        {
            TokenFile = Value("RELAY_GATEWAY_TOKEN_FILE") ?? "",
            Name = Value("RELAY_GATEWAY_NAME") ?? NameFrom(hostName),
            SshListen = Value("RELAY_SSH_LISTEN") ?? "127.0.0.1:2222",
            SshAdvertise = Value("RELAY_SSH_ADVERTISE"),
            Silos = Value("RELAY_SILOS")?.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) ?? [],
            Region = Value("RELAY_REGION") ?? "",
            StateDirectory = Value("RELAY_STATE_DIR") ?? ".relay",
            HttpListen = Value("RELAY_GATEWAY_HTTP_LISTEN"),
        };
        if (read.TokenFile.Length == 0)
        {
            found.Add("RELAY_GATEWAY_TOKEN_FILE (--gateway-token-file) is missing: the file with this gateway's enrolment token.");
        }

        if (!GridCertificates.IsName(read.Name))
        {
            found.Add($"RELAY_GATEWAY_NAME \"{read.Name}\" must have 1 to 63 characters of a-z, 0-9, dot and hyphen.");
        }

        if (!TryParseEndPoint(read.SshListen, out _))
        {
            found.Add($"RELAY_SSH_LISTEN \"{read.SshListen}\" must be an address and a port, for example 0.0.0.0:22 or [::]:22.");
        }

        if (read.HttpListen is not null && !TryParseEndPoint(read.HttpListen, out _))
        {
            found.Add($"RELAY_GATEWAY_HTTP_LISTEN \"{read.HttpListen}\" must be an address and a port, for example 127.0.0.1:9090.");
        }

        foreach (var silo in read.Silos)
        {
            if (!TryParseHostPort(silo, out _, out _))
            {
                found.Add($"RELAY_SILOS \"{silo}\" must be host:port.");
            }
        }

        if (Value("RELAY_GATEWAY_DRAIN_SECONDS") is { } drain)
        {
            if (int.TryParse(drain, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds) && seconds <= 86_400)
            {
                read = read with { DrainTime = TimeSpan.FromSeconds(seconds) };
            }
            else
            {
                found.Add($"RELAY_GATEWAY_DRAIN_SECONDS \"{drain}\" must be a whole number of seconds from 0 to 86400.");
            }
        }

        read = read with { WireGuard = WireGuardOptionsReader.Read(Value, found) };
        options = found.Count == 0 ? read : null;
        return options is not null;
    }

    /// <summary>"address:port", the address numeric ("[::]:22", "0.0.0.0:22") or "localhost".</summary>
    public static bool TryParseEndPoint(string text, [NotNullWhen(true)] out IPEndPoint? endPoint)
    {
        endPoint = null;
        if (!TryParseHostPort(text, out var host, out var port))
        {
            return false;
        }

        if (host == "localhost")
        {
            host = "127.0.0.1";
        }

        if (!IPAddress.TryParse(host, out var address))
        {
            return false;
        }

        endPoint = new IPEndPoint(address, port);
        return true;
    }

    /// <summary>"host:port" or "[v6]:port"; the host comes without brackets.</summary>
    public static bool TryParseHostPort(string text, out string host, out int port)
    {
        (host, port) = ("", 0);
        var colon = text.LastIndexOf(':');
        if (colon <= 0 || !ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var number))
        {
            return false;
        }

        host = text[..colon];
        if (host is ['[', .., ']'])
        {
            host = host[1..^1];
        }
        else if (host.Contains(':'))
        {
            return false;
        }

        port = number;
        return host.Length > 0 && !host.AsSpan().ContainsAny(" /@");
    }

    private static Dictionary<string, string> ReadValues(IReadOnlyList<string> arguments, Func<string, string?> environment, List<string> errors)
    {
        var values = new Dictionary<string, string>();
        foreach (var (_, variable) in s_settings)
        {
            if (environment(variable) is { } value)
            {
                values[variable] = value;
            }
        }

        for (var i = 0; i < arguments.Count; i++)
        {
            var equals = arguments[i].IndexOf('=');
            var option = equals < 0 ? arguments[i] : arguments[i][..equals];
            var setting = Array.Find(s_settings, s => s.Option == option);
            if (setting.Option is null)
            {
                errors.Add($"{option} is not an option of relay-gateway; see --help.");
            }
            else if (equals >= 0)
            {
                values[setting.Variable] = arguments[i][(equals + 1)..];
            }
            else if (i + 1 < arguments.Count)
            {
                values[setting.Variable] = arguments[++i];
            }
            else
            {
                errors.Add($"{option} needs a value.");
            }
        }

        return values;
    }

    private static string NameFrom(string hostName)
    {
        var name = new string([.. hostName.ToLowerInvariant().Select(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' ? c : '-').Take(63)]);
        return name.Length == 0 ? "gateway" : name;
    }
}
