namespace Relay.Policy;

/// <summary>
/// One entry of <c>tcp_forwarding.allowed_connections</c>. An address or range matches address literals only, a name matches names only:
/// names are not resolved, because what a name means is decided at the connector, later.
/// Immutable.
/// </summary>
internal sealed class DestinationRule
{
    private readonly IpRange? _range;
    private readonly string? _name;
    private readonly string? _suffix;

    private DestinationRule(string? address, int? port, IpRange? range, string? name, string? suffix)
    {
        AddressText = address;
        Port = port;
        _range = range;
        _name = name;
        _suffix = suffix;
    }

    /// <summary>As written; null: any.</summary>
    public string? AddressText { get; }

    /// <summary>Null: any.</summary>
    public int? Port { get; }

    public bool Matches(in Destination destination)
    {
        if (Port is { } port && port != destination.Port)
            return false;
        if (_range is not null)
            return destination.Address is { } address && _range.Contains(address);
        if (_name is not null)
            return destination.Address is null && string.Equals(_name, destination.Host, StringComparison.Ordinal);
        if (_suffix is not null)
            return destination.Address is null && destination.Host!.Length > _suffix.Length && destination.Host.EndsWith(_suffix, StringComparison.Ordinal);
        return true;
    }

    /// <param name="address">Null or "*": any.</param>
    /// <param name="port">Null: any.</param>
    /// <param name="error">Set when null is returned.</param>
    public static DestinationRule? TryCreate(string? address, int? port, out string? error)
    {
        error = null;
        if (address is null or "*")
            return new DestinationRule(address, port, null, null, null);
        if (address.Contains('/', StringComparison.Ordinal) || IpValue.TryParse(address, out _))
        {
            var range = IpRange.TryParse(address, out error);
            return range is null ? null : new DestinationRule(address, port, range, null, null);
        }

        var name = Destination.NormalizeName(address);
        var wildcard = name.StartsWith("*.", StringComparison.Ordinal);
        if (!IsHostName(wildcard ? name.AsSpan(2) : name))
        {
            error = "Not an address, a CIDR range, a host name, *.domain, or * for any.";
            return null;
        }

        return wildcard ? new DestinationRule(address, port, null, null, name[1..]) : new DestinationRule(address, port, null, name, null);
    }

    private static bool IsHostName(ReadOnlySpan<char> name)
    {
        if (name.Length is 0 or > 253)
            return false;
        var onlyNumbers = true;
        var label = 0;
        foreach (var c in name)
        {
            if (c == '.')
            {
                if (label == 0)
                    return false;
                label = 0;
                continue;
            }

            if (!char.IsAsciiLetterOrDigit(c) && c is not ('-' or '_') || ++label > 63)
                return false;
            onlyNumbers &= char.IsAsciiDigit(c);
        }

        // "10.1" is no name: resolvers read it as an address.
        return label > 0 && !onlyNumbers;
    }
}
