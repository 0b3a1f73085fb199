using System.Security.Cryptography;
using Relay.Protocol.Crypto;

namespace Relay.Protocol.WireGuard;

/// <summary>The sending side of mac1, mac2 and cookies for one peer, whitepaper §5.4.4, §5.4.7. Not thread-safe.</summary>
internal sealed class CookieJar
{
    private readonly byte[] _cookie = new byte[WireGuardWire.CookieLength];
    private readonly byte[] _lastMac1 = new byte[WireGuardWire.MacLength];
    private bool _expectsReply;
    private TimeSpan? _cookieSince;

    /// <summary>Writes mac1 and, with a fresh cookie, mac2 (zeros without one) into an initiation or a response to the owner of a key.</summary>
    public void WriteMacs(ReadOnlySpan<byte> peerKey, Span<byte> handshake, TimeSpan now)
    {
        Blake2s blake = Blake2s.ForThread;
        Span<byte> key = stackalloc byte[Blake2s.DigestLength];
        blake.Hash(WireGuardSpec.LabelMac1, peerKey, key);
        blake.Mac(key, WireGuardWire.BeforeMac1(handshake), WireGuardWire.Mac1(handshake));
        WireGuardWire.Mac1(handshake).CopyTo(_lastMac1);
        _expectsReply = true;
        if (_cookieSince is { } since && now - since < WireGuardSpec.CookieRefreshTime)
            blake.Mac(_cookie, WireGuardWire.BeforeMac2(handshake), WireGuardWire.Mac2(handshake));
        else
            WireGuardWire.Mac2(handshake).Clear();
    }

    /// <summary>Takes the cookie out of a reply. False unless it answers the last message that <see cref="WriteMacs"/> has seen, once.</summary>
    public bool TryTakeReply(ReadOnlySpan<byte> peerKey, ReadOnlySpan<byte> reply, TimeSpan now)
    {
        if (!_expectsReply) return false;
        Span<byte> key = stackalloc byte[Blake2s.DigestLength];
        Blake2s.ForThread.Hash(WireGuardSpec.LabelCookie, peerKey, key);
        Span<byte> cookie = stackalloc byte[WireGuardWire.CookieLength];
        reply.Slice(WireGuardWire.Cookie, WireGuardWire.CookieLength).CopyTo(cookie);
        ReadOnlySpan<byte> nonce = reply.Slice(WireGuardWire.CookieNonce, WireGuardWire.CookieNonceLength);
        if (!XChaCha20Poly1305.TryDecrypt(key, nonce, _lastMac1, cookie, reply[^WireGuardWire.TagLength..])) return false;
        cookie.CopyTo(_cookie);
        CryptographicOperations.ZeroMemory(cookie);
        _cookieSince = now;
        _expectsReply = false;
        return true;
    }
}
