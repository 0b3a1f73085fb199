using System.Security.Cryptography;
using Relay.Protocol.Crypto;

namespace Relay.Protocol.WireGuard;

/// <summary>
/// The chaining key C and the hash H of a handshake, whitepaper §5.4, in 64 bytes of the caller's, who wipes them. Each
/// method is one of the lines that the messages are made of.
/// </summary>
internal readonly ref struct NoiseState
{
    /// <summary>Length of C and H, in bytes.</summary>
    public const int Length = 2 * Blake2s.DigestLength;

    private const int TagLength = WireGuardWire.TagLength;

    private static readonly byte[] s_initialChain = Hash(WireGuardSpec.Construction, []);
    private static readonly byte[] s_initialHash = Hash(s_initialChain, WireGuardSpec.Identifier);

    private readonly Span<byte> _chain;
    private readonly Span<byte> _hash;

    /// <summary>The state that is in these 64 bytes.</summary>
    public NoiseState(Span<byte> state)
    {
        _chain = state[..Blake2s.DigestLength];
        _hash = state[Blake2s.DigestLength..];
    }

    /// <summary>C := HASH(CONSTRUCTION); H := HASH(HASH(C ‖ IDENTIFIER) ‖ responder's static public key).</summary>
    public void Start(ReadOnlySpan<byte> responderStatic)
    {
        s_initialChain.CopyTo(_chain);
        Blake2s.ForThread.Hash(s_initialHash, responderStatic, _hash);
    }

    /// <summary>H := HASH(H ‖ data).</summary>
    public void MixHash(ReadOnlySpan<byte> data) => Blake2s.ForThread.Hash(_hash, data, _hash);

    /// <summary>C := KDF1(C, input).</summary>
    public void MixKey(ReadOnlySpan<byte> input) => NoiseKdf.Kdf1(_chain, input, _chain);

    /// <summary>(C, κ) := KDF2(C, input).</summary>
    public void MixKey(ReadOnlySpan<byte> input, Span<byte> key) => NoiseKdf.Kdf2(_chain, input, _chain, key);

    /// <summary>(C, τ, κ) := KDF3(C, Q); H := HASH(H ‖ τ).</summary>
    public void MixPresharedKey(ReadOnlySpan<byte> presharedKey, Span<byte> key)
    {
        Span<byte> tau = stackalloc byte[Blake2s.DigestLength];
        NoiseKdf.Kdf3(_chain, presharedKey, _chain, tau, key);
        MixHash(tau);
        CryptographicOperations.ZeroMemory(tau);
    }

    /// <summary>field := AEAD(κ, 0, field, H); H := HASH(H ‖ field). The last 16 bytes of the field are for the tag.</summary>
    public void Encrypt(ReadOnlySpan<byte> key, Span<byte> field)
    {
        ChaCha20Poly1305OneShot.Encrypt(key, 0, _hash, field[..^TagLength], field[^TagLength..]);
        MixHash(field);
    }

    /// <summary>The other side of <see cref="Encrypt"/>; the plain text is 16 bytes shorter. False: the tag is wrong.</summary>
    public bool TryDecrypt(ReadOnlySpan<byte> key, ReadOnlySpan<byte> field, Span<byte> plain)
    {
        field[..^TagLength].CopyTo(plain);
        if (!ChaCha20Poly1305OneShot.TryDecrypt(key, 0, _hash, plain[..(field.Length - TagLength)], field[^TagLength..])) return false;
        MixHash(field);
        return true;
    }

    /// <summary>§5.4.5: (T of the initiator's sending, T of the responder's sending) := KDF2(C, ε).</summary>
    public void DeriveKeys(Span<byte> fromInitiator, Span<byte> fromResponder) => NoiseKdf.Kdf2(_chain, [], fromInitiator, fromResponder);

    private static byte[] Hash(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second)
    {
        var hash = new byte[Blake2s.DigestLength];
        Blake2s.ForThread.Hash(first, second, hash);
        return hash;
    }
}
