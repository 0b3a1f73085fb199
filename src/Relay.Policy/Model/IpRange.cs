using System.Globalization;

namespace Relay.Policy;

/// <summary>A CIDR range; a bare address is a range of one. Immutable.</summary>
internal sealed class IpRange
{
    private readonly IpValue _network;
    private readonly UInt128 _mask;

    private IpRange(string text, IpValue network, UInt128 mask)
    {
        Text = text;
        _network = network;
        _mask = mask;
    }

    /// <summary>As written.</summary>
    public string Text { get; }

    public bool Contains(IpValue address) => address.IsV4 == _network.IsV4 && (address.Bits & _mask) == _network.Bits;

    /// <summary>Null with <paramref name="error"/> when the text is no range.</summary>
    public static IpRange? TryParse(string text, out string? error)
    {
        error = null;
        var slash = text.IndexOf('/', StringComparison.Ordinal);
        var addressText = slash < 0 ? text.AsSpan() : text.AsSpan(0, slash);
        if (!IpValue.TryParse(addressText, out var address))
        {
            error = "Not an IP address or CIDR range, such as 192.0.2.0/24 or 2001:db8::/32.";
            return null;
        }

        var prefix = address.Width;
        if (slash >= 0)
        {
            // The width as written: ::ffff:10.0.0.0/104 is 10.0.0.0/8.
            var mapped = address.IsV4 && addressText.Contains(':');
            var digits = text.AsSpan(slash + 1);
            if (digits.Length > 3 || !int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out prefix)
                || prefix > (mapped ? 128 : address.Width) || (mapped && prefix < 96))
            {
                error = mapped ? "The prefix length of an IPv4-mapped range must be 96 to 128." : $"The prefix length must be 0 to {address.Width}.";
                return null;
            }

            if (mapped)
                prefix -= 96;
        }

        var all = address.IsV4 ? (UInt128)uint.MaxValue : UInt128.MaxValue;
        var mask = prefix == 0 ? UInt128.Zero : (all << (address.Width - prefix)) & all;
        var network = address with { Bits = address.Bits & mask };
        if (network != address)
        {
            // 10.1.2.3/2 for /32 would open a quarter of the Internet.
            error = $"The address has bits beyond the prefix: write {network}/{prefix}, or {address} for the one address.";
            return null;
        }

        return new IpRange(text, network, mask);
    }
}
