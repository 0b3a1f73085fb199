namespace Relay.Policy;

/// <summary>Where a direct-tcpip channel wants to go, normalised once: lower case, no trailing dot, no brackets. Immutable.</summary>
internal readonly struct Destination
{
    private Destination(string host, IpValue? address, int port)
    {
        Host = host;
        Address = address;
        Port = port;
    }

    /// <summary>Null for <c>default</c>.</summary>
    public string? Host { get; }

    /// <summary>The value of an address literal; null for a name.</summary>
    public IpValue? Address { get; }

    public int Port { get; }

    /// <summary>False: an empty or oversized host, one with blanks or control characters, or a port outside 1 to 65535.</summary>
    public static bool TryCreate(string host, int port, out Destination destination)
    {
        destination = default;
        if (host.Length is 0 or > 255 || port is < 1 or > 65535 || host.AsSpan().ContainsAnyInRange('\0', ' ') || host.Contains('\u007f', StringComparison.Ordinal))
            return false;
        var bare = host.Length > 2 && host[0] == '[' && host[^1] == ']' ? host[1..^1] : host;
        if (IpValue.TryParse(bare, out var address))
        {
            destination = new Destination(bare, address, port);
            return true;
        }

        destination = new Destination(NormalizeName(bare), null, port);
        return true;
    }

    /// <summary>A–Z to lower case (see <see cref="AsciiIgnoreCase"/> for why no more), one trailing dot off.</summary>
    public static string NormalizeName(string name)
    {
        var length = name.EndsWith('.') ? name.Length - 1 : name.Length;
        return string.Create(length, name, static (span, source) =>
        {
            for (var i = 0; i < span.Length; i++)
                span[i] = AsciiIgnoreCase.Fold(source[i]);
        });
    }
}
