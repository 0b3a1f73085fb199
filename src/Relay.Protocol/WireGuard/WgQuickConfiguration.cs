using System.Net;
using System.Security.Cryptography;

namespace Relay.Protocol.WireGuard;

/// <summary>
/// The file of <c>wg-quick</c>: one <c>[Interface]</c> and its <c>[Peer]</c>s. It holds a private key: whoever writes it
/// gives it mode 0600. Immutable but for the key, which disposing wipes.
/// </summary>
public sealed class WgQuickConfiguration : IDisposable
{
    /// <summary>Our private key: 32 bytes.</summary>
    public required byte[] PrivateKey { get; init; }

    /// <summary>Our addresses inside the tunnel, with the length of their network.</summary>
    public IReadOnlyList<WgQuickAddress> Addresses { get; init; } = [];

    /// <summary>Resolvers to use while the tunnel is up.</summary>
    public IReadOnlyList<IPAddress> DnsServers { get; init; } = [];

    /// <summary>Domains that are looked up there; without any, all are. Letters, digits, <c>-</c>, <c>.</c> and <c>_</c>, perhaps a <c>~</c> before.</summary>
    public IReadOnlyList<string> DnsDomains { get; init; } = [];

    /// <summary>
    /// True: only names in <see cref="DnsDomains"/> are looked up at <see cref="DnsServers"/>, all others as before. Written as a hook that
    /// tells systemd's <c>resolvectl</c>, and does nothing where there is none; read, it is one of <see cref="Kept"/>.
    /// </summary>
    public bool SplitDns { get; init; }

    /// <summary>UDP port; 0: any.</summary>
    public int ListenPort { get; init; }

    /// <summary>Longest inner packet in bytes, 1280 to 65535; 0: wg-quick decides.</summary>
    public int Mtu { get; init; }

    /// <summary>The other ends.</summary>
    public IReadOnlyList<WgQuickPeer> Peers { get; init; } = [];

    /// <summary>
    /// Lines of <c>[Interface]</c> that are the user's own and mean nothing here, hooks such as <c>PostUp</c> among them: kept when a
    /// file that was read is written again. Only reading a file sets them, so that nothing a server said becomes a command.
    /// </summary>
    public IReadOnlyList<KeyValuePair<string, string>> Kept { get; internal init; } = [];

    /// <summary>Reads a file.</summary>
    /// <param name="text">Its text.</param>
    /// <exception cref="FormatException">It is none; the message names the line, never its contents.</exception>
    public static WgQuickConfiguration Parse(string text) => new WgQuickReader().Read(text);

    /// <summary>The text of the file, ending with a line feed.</summary>
    /// <exception cref="FormatException">A value cannot be written on a line of its own, or a key is not 32 bytes.</exception>
    public override string ToString() => WgQuickWriter.Write(this);

    /// <summary>Wipes the private key and the preshared keys.</summary>
    public void Dispose()
    {
        CryptographicOperations.ZeroMemory(PrivateKey);
        foreach (WgQuickPeer peer in Peers) CryptographicOperations.ZeroMemory(peer.PresharedKey);
    }
}

/// <summary>One <c>[Peer]</c> of a <see cref="WgQuickConfiguration"/>.</summary>
public sealed class WgQuickPeer
{
    /// <summary>Its static public key.</summary>
    public required WireGuardPublicKey PublicKey { get; init; }

    /// <summary>Preshared key: 32 bytes; empty for none.</summary>
    public byte[] PresharedKey { get; init; } = [];

    /// <summary>Which addresses it is sent, and may send from.</summary>
    public IReadOnlyList<IPNetwork> AllowedIPs { get; init; } = [];

    /// <summary>Host or address, a colon, and a port; an IPv6 address in brackets. Null: it has to come first.</summary>
    public string? Endpoint { get; init; }

    /// <summary>Persistent keepalive in whole seconds, 0 (off) to 65535.</summary>
    public int PersistentKeepaliveSeconds { get; init; }
}

/// <summary>An address of an interface, with the length of its network.</summary>
/// <param name="Address">IPv4 or IPv6.</param>
/// <param name="PrefixLength">0 to 32 or 128.</param>
public readonly record struct WgQuickAddress(IPAddress Address, int PrefixLength)
{
    /// <summary>Address, slash, length.</summary>
    public override string ToString() => $"{Address}/{PrefixLength}";
}
