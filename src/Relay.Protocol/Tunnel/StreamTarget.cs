using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Relay.Protocol.Tunnel;

/// <summary>
/// What the agent dials for a stream: <c>tcp host:port</c>, <c>udp host:port</c> (IPv6 in brackets) or <c>built-in-ssh</c>. Immutable.
/// The silo takes it from the inventory, never from a user (L23).
/// </summary>
public sealed record StreamTarget
{
    /// <summary>Longest text form.</summary>
    public const int MaxLength = 300;

    private const string BuiltInSshText = "built-in-ssh";
    private const string TcpPrefix = "tcp ";
    private const string UdpPrefix = "udp ";

    private StreamTarget(string? host, int port, bool isUdp = false)
    {
        Host = host;
        Port = port;
        IsUdp = isUdp;
    }

    /// <summary>The connector's own SSH service.</summary>
    public static StreamTarget BuiltInSsh { get; } = new(null, 0);

    /// <summary>Name or address of the target, without brackets; null for <see cref="BuiltInSsh"/>.</summary>
    public string? Host { get; }

    /// <summary>1..65535; 0 for <see cref="BuiltInSsh"/>.</summary>
    public int Port { get; }

    /// <summary>True for <see cref="BuiltInSsh"/>.</summary>
    [MemberNotNullWhen(false, nameof(Host))]
    public bool IsBuiltInSsh => Host is null;

    /// <summary>True: the stream carries datagrams, see <see cref="DatagramFraming"/>.</summary>
    public bool IsUdp { get; }

    /// <summary>A TCP target.</summary>
    /// <param name="host">Name or address: printable ASCII without spaces, 1..253 characters.</param>
    /// <param name="port">1..65535.</param>
    /// <exception cref="ArgumentException">Not a host or not a port.</exception>
    public static StreamTarget Tcp(string host, int port) =>
        IsHost(host) && port is >= 1 and <= 65535 ? new(host, port) : throw new ArgumentException($"'{host}:{port}' is not a TCP target.", nameof(host));

    /// <summary>A UDP target.</summary>
    /// <param name="host">As for <see cref="Tcp"/>.</param>
    /// <param name="port">1..65535.</param>
    /// <exception cref="ArgumentException">Not a host or not a port.</exception>
    public static StreamTarget Udp(string host, int port) =>
        IsHost(host) && port is >= 1 and <= 65535 ? new(host, port, isUdp: true) : throw new ArgumentException($"'{host}:{port}' is not a UDP target.", nameof(host));

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

        // Both prefixes are of one length.
        var colon = text.LastIndexOf(':');
        var isUdp = text.StartsWith(UdpPrefix, StringComparison.Ordinal);
        if ((!isUdp && !text.StartsWith(TcpPrefix, StringComparison.Ordinal)) || colon <= TcpPrefix.Length)
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

        target = new(host, port, isUdp);
        return true;
    }

    /// <summary>Reads what <see cref="Key"/> writes; false: not a target that can be dialled.</summary>
    /// <param name="key">IPv6 in brackets.</param>
    /// <param name="target">The target when true.</param>
    public static bool TryParseKey(string? key, [NotNullWhen(true)] out StreamTarget? target) =>
        TryParse(key is null || key.StartsWith(UdpPrefix, StringComparison.Ordinal) ? key : TcpPrefix + key, out target);

    /// <summary>The text form, as in <see cref="TunnelWire.TargetHeader"/>.</summary>
    public override string ToString() => IsBuiltInSsh ? BuiltInSshText : IsUdp ? Key : TcpPrefix + Key;

    /// <summary>What it is known by where targets are kept: "host:port" for TCP, "udp host:port"; the built-in service's name otherwise.</summary>
    public string Key => IsUdp ? UdpPrefix + Address : Address;

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
