using System.Globalization;
using System.Text;

namespace Relay.Protocol.WireGuard;

/// <summary>Writes the file of <c>wg-quick</c>, each value checked to be what it is: a file with a line too many can run commands as root.</summary>
internal static class WgQuickWriter
{
    public static string Write(WgQuickConfiguration configuration)
    {
        var text = new StringBuilder("[Interface]\n");
        Line(text, "PrivateKey", Key(configuration.PrivateKey));
        List(text, "Address", configuration.Addresses.Select(static a => a.ToString()));
        if (!configuration.SplitDns) List(text, "DNS", configuration.DnsServers.Select(static a => a.ToString()).Concat(configuration.DnsDomains.Select(Domain)));
        Number(text, "ListenPort", configuration.ListenPort);
        Number(text, "MTU", configuration.Mtu);
        if (configuration is { SplitDns: true, DnsServers.Count: > 0, DnsDomains.Count: > 0 }) Line(text, "PostUp", SplitDns(configuration));
        foreach ((string key, string value) in configuration.Kept) Line(text, key, value);
        foreach (WgQuickPeer peer in configuration.Peers)
        {
            text.Append("\n[Peer]\n");
            Line(text, "PublicKey", peer.PublicKey.ToString());
            if (peer.PresharedKey.Length > 0) Line(text, "PresharedKey", Key(peer.PresharedKey));
            List(text, "AllowedIPs", peer.AllowedIPs.Select(static a => a.ToString()));
            if (peer.Endpoint is { } endpoint) Line(text, "Endpoint", WgQuickReader.IsEndpoint(endpoint) ? endpoint : throw Refused("Endpoint"));
            Number(text, "PersistentKeepalive", peer.PersistentKeepaliveSeconds);
        }

        return text.ToString();
    }

    private static string Key(byte[] key) => key.Length == WireGuardWire.KeyLength ? Convert.ToBase64String(key) : throw new FormatException("A key is 32 bytes.");

    private static string Domain(string domain) => WgQuickReader.IsDomain(domain) ? domain : throw Refused("DNS");

    // SECURITY: a shell runs it as root. Addresses are addresses, and a domain has nothing that ends the quotes.
    private static string SplitDns(WgQuickConfiguration configuration)
    {
        string servers = string.Join(' ', configuration.DnsServers);
        string domains = string.Join(' ', configuration.DnsDomains.Select(static d => $"'~{Domain(d).TrimStart('~')}'"));
        return $"command -v resolvectl > /dev/null && resolvectl dns %i {servers} && resolvectl domain %i {domains} || true";
    }

    private static void List(StringBuilder text, string key, IEnumerable<string> values)
    {
        string joined = string.Join(", ", values);
        if (joined.Length > 0) Line(text, key, joined);
    }

    private static void Number(StringBuilder text, string key, int value)
    {
        if (value is < 0 or > 65535) throw Refused(key);
        if (value > 0) Line(text, key, value.ToString(CultureInfo.InvariantCulture));
    }

    private static void Line(StringBuilder text, string key, string value)
    {
        if (value.Any(char.IsControl)) throw Refused(key);
        text.Append(key).Append(" = ").Append(value).Append('\n');
    }

    private static FormatException Refused(string key) => new($"The value of {key} cannot be written.");
}
