using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;

namespace Relay.Protocol.Grid;

/// <summary>The text form "host:port" of addresses that grid members give each other; IPv6 as "[::1]:7443".</summary>
public static class GridAddress
{
    private const int MaxLength = 260;

    /// <summary>False: not host:port, no port in 1..65535, or a host that is neither a DNS name nor an address.</summary>
    /// <param name="text">At most 260 characters.</param>
    /// <param name="host">Name or address, without brackets.</param>
    /// <param name="port">1..65535.</param>
    public static bool TryParse(string? text, [NotNullWhen(true)] out string? host, out int port)
    {
        host = null;
        port = 0;
        if (text is not { Length: > 2 and <= MaxLength })
        {
            return false;
        }

        var colon = text.LastIndexOf(':');
        if (colon <= 0
            || !int.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out port)
            || port is < 1 or > 65535)
        {
            return false;
        }

        var name = text[..colon];
        if (name.StartsWith('[') && name.EndsWith(']'))
        {
            name = name[1..^1];
            if (!IPAddress.TryParse(name, out _))
            {
                return false;
            }
        }
        else if (Uri.CheckHostName(name) is not (UriHostNameType.Dns or UriHostNameType.IPv4))
        {
            return false;
        }

        host = name;
        return true;
    }

    /// <summary>Writes "host:port", with brackets around an IPv6 address.</summary>
    /// <param name="host">DNS name or address without brackets.</param>
    /// <param name="port">1..65535.</param>
    public static string Format(string host, int port)
    {
        ArgumentNullException.ThrowIfNull(host);
        return string.Create(CultureInfo.InvariantCulture, $"{(host.Contains(':', StringComparison.Ordinal) ? $"[{host}]" : host)}:{port}");
    }
}
