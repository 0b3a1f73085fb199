using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Relay.Protocol.Tunnel;

/// <summary>
/// What the agent dials for a stream: <c>tcp host:port</c> (IPv6 in brackets) or <c>built-in-ssh</c>. Immutable.
/// The silo takes it from the inventory, never from a user (L23).
/// </summary>
public sealed record StreamTarget
{
    /// <summary>Longest text form.</summary>
    public const int MaxLength = 300;

    private const string BuiltInSshText = "built-in-ssh";
    private const string TcpPrefix = "tcp ";

    private StreamTarget(string? host, int port)
    {
        Host = host;
        Port = port;
    }

    /// <summary>The connector's own SSH service.</summary>
    public static StreamTarget BuiltInSsh { get; } = new(null, 0);

    /// <summary>Name or address of the TCP target, without brackets; null for <see cref="BuiltInSsh"/>.</summary>
    public string? Host { get; }

    /// <summary>1..65535; 0 for <see cref="BuiltInSsh"/>.</summary>
    public int Port { get; }

    /// <summary>True for <see cref="BuiltInSsh"/>.</summary>
    [MemberNotNullWhen(false, nameof(Host))]
    public bool IsBuiltInSsh => Host is null;

    /// <summary>A TCP target.</summary>
    /// <param name="host">Name or address: printable ASCII without spaces, 1..253 characters.</param>
    /// <param name="port">1..65535.</param>
    /// <exception cref="ArgumentException">Not a host or not a port.</exception>
    public static StreamTarget Tcp(string host, int port) =>
        IsHost(host) && port is >= 1 and <= 65535 ? new(host, port) : throw new ArgumentException($"'{host}:{port}' is not a TCP target.", nameof(host));

    /// <summary>Reads the text form; false: not a target.</summary>
    /// <param name="text">As <see cref="ToString"/> writes it.</param>
    /// <param name="target">The target when true.</param>
    public static bool TryParse(string? text, [NotNullWhen(true)] out StreamTarget? target)
    {
        target = null;
        if (text is null || text.Length > MaxLength)
        {
            return false;
        }

        if (text == BuiltInSshText)
        {
            target = BuiltInSsh;
            return true;
        }

        var colon = text.LastIndexOf(':');
        if (!text.StartsWith(TcpPrefix, StringComparison.Ordinal) || colon <= TcpPrefix.Length)
        {
            return false;
        }

        var host = text[TcpPrefix.Length..colon];
        if (host.Length > 2 && host[0] == '[' && host[^1] == ']')
        {
            host = host[1..^1];
        }
        else if (host.Contains(':', StringComparison.Ordinal))
        {
            return false;
        }

        if (!IsHost(host) || !ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port) || port == 0)
        {
            return false;
        }

        target = new(host, port);
        return true;
    }

    /// <summary>Reads "host:port" as <see cref="Address"/> writes it; false: not a TCP target.</summary>
    /// <param name="address">IPv6 in brackets.</param>
    /// <param name="target">The target when true.</param>
    public static bool TryParseAddress(string? address, [NotNullWhen(true)] out StreamTarget? target) => TryParse(address is null ? null : TcpPrefix + address, out target);

    /// <summary>The text form, as in <see cref="TunnelWire.TargetHeader"/>.</summary>
    public override string ToString() =>
        IsBuiltInSsh ? BuiltInSshText : string.Create(CultureInfo.InvariantCulture, $"{TcpPrefix}{Address}");

    /// <summary>"host:port" for messages; the built-in service's name otherwise.</summary>
    public string Address =>
        IsBuiltInSsh ? "the built-in SSH service" : Host.Contains(':', StringComparison.Ordinal) ? string.Create(CultureInfo.InvariantCulture, $"[{Host}]:{Port}") : string.Create(CultureInfo.InvariantCulture, $"{Host}:{Port}");

    private static bool IsHost([NotNullWhen(true)] string? host)
    {
        if (host is not { Length: > 0 and <= 253 })
        {
            return false;
        }

        foreach (var c in host)
        {
            if (!(char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_' or ':' or '%'))
            {
                return false;
            }
        }

        return true;
    }
}
