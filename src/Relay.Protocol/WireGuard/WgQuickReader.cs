using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;

namespace Relay.Protocol.WireGuard;

/// <summary>Reads the file of <c>wg-quick</c>, wg-quick(8) and wg(8): sections, <c>key = value</c>, comments after <c>#</c>; names in any case.</summary>
internal sealed class WgQuickReader
{
    // More than any such file has.
    private const int LongestText = 1 << 20;

    private static readonly HashSet<string> s_kept = new(StringComparer.OrdinalIgnoreCase) { "Table", "FwMark", "SaveConfig", "PreUp", "PostUp", "PreDown", "PostDown" };

    private readonly List<WgQuickAddress> _addresses = [];
    private readonly List<IPAddress> _dnsServers = [];
    private readonly List<string> _dnsDomains = [];
    private readonly List<KeyValuePair<string, string>> _kept = [];
    private readonly List<WgQuickPeer> _peers = [];
    private byte[]? _privateKey;
    private int _listenPort;
    private int _mtu;
    private PeerLines? _peer;
    private bool _inInterface;
    private int _line;

    public WgQuickConfiguration Read(string text)
    {
        if (text.Length > LongestText) throw new FormatException("The file is too long.");
        foreach (string line in text.Split('\n'))
        {
            _line++;
            string content = line.Split('#', 2)[0].Trim();
            if (content.Length > 0) ReadLine(content);
        }

        EndPeer();
        return new WgQuickConfiguration
        {
            PrivateKey = _privateKey ?? throw new FormatException("There is no PrivateKey."),
            Addresses = _addresses,
            DnsServers = _dnsServers,
            DnsDomains = _dnsDomains,
            ListenPort = _listenPort,
            Mtu = _mtu,
            Peers = _peers,
            Kept = _kept,
        };
    }

    /// <summary>Host, colon, port.</summary>
    public static bool IsEndpoint(string text)
    {
        int colon = text.LastIndexOf(':');
        if (colon <= 0 || !TryNumber(text[(colon + 1)..], out int port) || port == 0) return false;
        string host = text[..colon];
        if (host.StartsWith('[') && host.EndsWith(']')) return IPAddress.TryParse(host[1..^1], out IPAddress? six) && six.GetAddressBytes().Length == 16;
        return host.Length <= 253 && host.All(static c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.');
    }

    /// <summary>A domain as resolvers take it, perhaps with a <c>~</c> before.</summary>
    public static bool IsDomain(string text)
    {
        ReadOnlySpan<char> name = text.StartsWith('~') ? text.AsSpan(1) : text;
        foreach (char c in name)
        {
            if (!char.IsAsciiLetterOrDigit(c) && c is not ('-' or '.' or '_')) return false;
        }

        return name.Length is > 0 and <= 253;
    }

    // Not the short forms that the framework also takes for IPv4.
    private static bool TryAddress(string text, [NotNullWhen(true)] out IPAddress? address) =>
        IPAddress.TryParse(text, out address) && (text.Contains(':') || address.ToString() == text);

    private static bool TryNumber(string text, out int number) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number) && number <= 65535;

    private void ReadLine(string content)
    {
        if (content.StartsWith('['))
        {
            EndPeer();
            _inInterface = content.Equals("[Interface]", StringComparison.OrdinalIgnoreCase);
            if (!_inInterface) _peer = content.Equals("[Peer]", StringComparison.OrdinalIgnoreCase) ? new PeerLines() : throw Refused("an unknown section");
            return;
        }

        string[] parts = content.Split('=', 2, StringSplitOptions.TrimEntries);
        if (parts.Length != 2 || parts[0].Length == 0) throw Refused("no 'key = value'");
        if (_peer is { } peer) ReadPeer(peer, parts[0], parts[1]);
        else if (_inInterface) ReadInterface(parts[0], parts[1]);
        else throw Refused("a value before the first section");
    }

    private void ReadInterface(string key, string value)
    {
        switch (key.ToUpperInvariant())
        {
            case "PRIVATEKEY":
                _privateKey = Key(value);
                break;
            case "ADDRESS":
                _addresses.AddRange(Items(value).Select(Address));
                break;
            case "DNS":
                foreach (string item in Items(value))
                {
                    if (TryAddress(item, out IPAddress? server)) _dnsServers.Add(server);
                    else _dnsDomains.Add(IsDomain(item) ? item : throw Refused("an unusable DNS"));
                }

                break;
            case "LISTENPORT":
                _listenPort = Number(value);
                break;
            case "MTU":
                _mtu = Number(value);
                break;
            default:
                _kept.Add(s_kept.Contains(key) ? KeyValuePair.Create(key, value) : throw Refused("an unknown key"));
                break;
        }
    }

    private void ReadPeer(PeerLines peer, string key, string value)
    {
        switch (key.ToUpperInvariant())
        {
            case "PUBLICKEY":
                peer.PublicKey = new WireGuardPublicKey(Key(value));
                break;
            case "PRESHAREDKEY":
                peer.PresharedKey = Key(value);
                break;
            case "ALLOWEDIPS":
                peer.AllowedIPs.AddRange(Items(value).Select(Network));
                break;
            case "ENDPOINT":
                peer.Endpoint = IsEndpoint(value) ? value : throw Refused("an unusable Endpoint");
                break;
            case "PERSISTENTKEEPALIVE":
                peer.Keepalive = value.Equals("off", StringComparison.OrdinalIgnoreCase) ? 0 : Number(value);
                break;
            default:
                throw Refused("an unknown key");
        }
    }

    private void EndPeer()
    {
        if (_peer is not { } peer) return;
        _peers.Add(new WgQuickPeer
        {
            PublicKey = peer.PublicKey ?? throw Refused("the end of a peer without PublicKey"),
            PresharedKey = peer.PresharedKey,
            AllowedIPs = peer.AllowedIPs,
            Endpoint = peer.Endpoint,
            PersistentKeepaliveSeconds = peer.Keepalive,
        });
        _peer = null;
    }

    private byte[] Key(string value)
    {
        var key = new byte[WireGuardWire.KeyLength];
        return WireGuardKeyText.TryParse(value, key) ? key : throw Refused("an unusable key");
    }

    private int Number(string value) => TryNumber(value, out int number) ? number : throw Refused("an unusable number");

    private WgQuickAddress Address(string value)
    {
        string[] parts = value.Split('/', 2);
        if (!TryAddress(parts[0], out IPAddress? address)) throw Refused("an unusable address");
        int most = address.GetAddressBytes().Length * 8;
        int length = parts.Length == 1 ? most : Number(parts[1]);
        return length <= most ? new WgQuickAddress(address, length) : throw Refused("an unusable address");
    }

    // As wg does, bits beyond the length are taken off.
    private IPNetwork Network(string value)
    {
        WgQuickAddress address = Address(value);
        byte[] bytes = address.Address.GetAddressBytes();
        for (int i = 0; i < bytes.Length; i++) bytes[i] &= (byte)((0xff00 >> Math.Clamp(address.PrefixLength - (8 * i), 0, 8)) & 0xff);
        return new IPNetwork(new IPAddress(bytes), address.PrefixLength);
    }

    private static string[] Items(string value) => value.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);

    private FormatException Refused(string what) => new($"Line {_line}: {what}.");

    private sealed class PeerLines
    {
        public WireGuardPublicKey? PublicKey { get; set; }

        public byte[] PresharedKey { get; set; } = [];

        public List<IPNetwork> AllowedIPs { get; } = [];

        public string? Endpoint { get; set; }

        public int Keepalive { get; set; }
    }
}
