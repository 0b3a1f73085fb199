using System.Security.Cryptography;
using Relay.Protocol.Crypto;

namespace Relay.Protocol.WireGuard;

/// <summary>
/// The receiving side of mac1, mac2 and cookies, whitepaper §5.3, §5.4.4, §5.4.7. A cookie is a MAC over the source's address
/// and port under a secret that changes every two minutes. Safe for concurrent use. Caller disposes, which wipes the secret.
/// </summary>
internal sealed class CookieChecker : IDisposable
{
    private readonly Lock _lock = new();
    private readonly byte[] _mac1Key = new byte[Blake2s.DigestLength];
    private readonly byte[] _cookieKey = new byte[Blake2s.DigestLength];
    private readonly byte[] _secret = GC.AllocateArray<byte>(Blake2s.DigestLength, pinned: true);
    private readonly WireGuardEntropy _entropy;
    private TimeSpan? _secretSince;

    /// <summary>For messages to the owner of this static public key.</summary>
    public CookieChecker(ReadOnlySpan<byte> publicKey, WireGuardEntropy entropy)
    {
        _entropy = entropy;
        Blake2s.ForThread.Hash(WireGuardSpec.LabelMac1, publicKey, _mac1Key);
        Blake2s.ForThread.Hash(WireGuardSpec.LabelCookie, publicKey, _cookieKey);
    }

    /// <summary>True when mac1 of an initiation or a response is right: its sender knows our public key.</summary>
    public bool HasMac1(ReadOnlySpan<byte> handshake)
    {
        Span<byte> mac = stackalloc byte[WireGuardWire.MacLength];
        Blake2s.ForThread.Mac(_mac1Key, WireGuardWire.BeforeMac1(handshake), mac);
        return CryptographicOperations.FixedTimeEquals(mac, WireGuardWire.Mac1(handshake));
    }

    /// <summary>True when mac2 of an initiation or a response is right: its sender receives what is sent to the source.</summary>
    public bool HasMac2(ReadOnlySpan<byte> handshake, in WireGuardEndpoint source, TimeSpan now)
    {
        Span<byte> cookie = stackalloc byte[WireGuardWire.CookieLength];
        lock (_lock)
        {
            if (!IsSecretFresh(now)) return false;
            WriteCookie(source, cookie);
        }

        Span<byte> mac = stackalloc byte[WireGuardWire.MacLength];
        Blake2s.ForThread.Mac(cookie, WireGuardWire.BeforeMac2(handshake), mac);
        return CryptographicOperations.FixedTimeEquals(mac, WireGuardWire.Mac2(handshake));
    }

    /// <summary>Writes the cookie reply, 64 bytes, to an initiation or a response.</summary>
    public void WriteReply(ReadOnlySpan<byte> handshake, in WireGuardEndpoint source, TimeSpan now, Span<byte> reply)
    {
        WireGuardWire.WriteType(reply, WireGuardMessageType.CookieReply);
        handshake.Slice(WireGuardWire.Sender, 4).CopyTo(reply[WireGuardWire.Receiver..]);
        Span<byte> nonce = reply.Slice(WireGuardWire.CookieNonce, WireGuardWire.CookieNonceLength);
        Span<byte> cookie = reply.Slice(WireGuardWire.Cookie, WireGuardWire.CookieLength);
        lock (_lock)
        {
            if (!IsSecretFresh(now))
            {
                _entropy(_secret);
                _secretSince = now;
            }

            WriteCookie(source, cookie);
            _entropy(nonce);
        }

        XChaCha20Poly1305.Encrypt(_cookieKey, nonce, WireGuardWire.Mac1(handshake), cookie, reply[^WireGuardWire.TagLength..]);
    }

    /// <summary>Wipes the secret.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _secretSince = null;
            CryptographicOperations.ZeroMemory(_secret);
        }
    }

    private bool IsSecretFresh(TimeSpan now) => _secretSince is { } since && now - since < WireGuardSpec.CookieRefreshTime;

    // τ := MAC(R, A), where A is the source's address and port.
    private void WriteCookie(in WireGuardEndpoint source, Span<byte> cookie)
    {
        Span<byte> address = stackalloc byte[18];
        int length = source.WriteAddress(address);
        address[length] = (byte)(source.Port >> 8);
        address[length + 1] = (byte)(source.Port & 0xff);
        Blake2s.ForThread.Mac(_secret, address[..(length + 2)], cookie);
    }
}
