using System.Globalization;
using System.Net;

namespace Relay.Gateway.WireGuard.Resolver;

/// <summary>Names that stand for addresses: in-addr.arpa (RFC 1035 §3.5) and ip6.arpa (RFC 3596 §2.5).</summary>
internal static class ReverseName
{
    private const string Four = ".in-addr.arpa", Six = ".ip6.arpa";

    /// <summary>The address, or the first one of what a shorter name stands for; null: it stands for none.</summary>
    /// <param name="name">In lower case.</param>
    public static IPAddress? TryParse(string name)
    {
        var isSix = name.EndsWith(Six, StringComparison.Ordinal);
        if (!isSix && !name.EndsWith(Four, StringComparison.Ordinal)) return null;
        var labels = name[..^(isSix ? Six : Four).Length].Split('.');
        var bytes = new byte[isSix ? 16 : 4];
        if (labels.Length > (isSix ? 32 : 4)) return null;
        for (var i = 0; i < labels.Length; i++)
        {
            var label = labels[^(i + 1)];
            if (!byte.TryParse(label, isSix ? NumberStyles.AllowHexSpecifier : NumberStyles.None, CultureInfo.InvariantCulture, out var value) || (isSix && label.Length != 1)) return null;
            if (!isSix) bytes[i] = value;
            else bytes[i / 2] |= (byte)(i % 2 == 0 ? value << 4 : value);
        }

        return new IPAddress(bytes);
    }
}
