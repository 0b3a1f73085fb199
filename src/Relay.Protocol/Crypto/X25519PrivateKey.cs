using System.Security.Cryptography;

namespace Relay.Protocol.Crypto;

// What: X25519 key agreement by libcrypto.
// References: RFC 7748 §5, §6.1.
// Parameters: scalar, u-coordinate and shared secret are 32 bytes each, little-endian; clamping is libcrypto's.
// Failure: a shared secret of all zeros (a peer's point of small order) is refused, RFC 8731 §3.

/// <summary>One side's secret of an X25519 agreement. Safe for concurrent use. Caller disposes, which wipes it.</summary>
internal sealed class X25519PrivateKey : IDisposable
{
    /// <summary>Length of scalar, public value and shared secret, in bytes.</summary>
    public const int Length = 32;

    // The other side's value, for as long as a derivation takes: giving a key another value costs next to nothing, making one a tenth of an agreement.
    [ThreadStatic]
    private static KeyHandle? t_peer;

    [ThreadStatic]
    private static KeyContextHandle? t_import;

    private readonly KeyHandle _key;
    private readonly byte[] _publicKey = new byte[Length];
    // Ready for deriving; whoever derives takes it out meanwhile. Making one costs a tenth of an agreement.
    private KeyContextHandle? _context;

    private X25519PrivateKey(ReadOnlySpan<byte> scalar)
    {
        _key = Import(scalar);
        // The agreement with the base point (RFC 7748 §6.1): libcrypto's own way from a secret to its public value takes an eighth longer.
        if (!TryDerive(BasePoint, _publicKey)) throw new CryptographicException("libcrypto: computing an X25519 public key failed.");
    }

    private static ReadOnlySpan<byte> BasePoint => [9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    /// <summary>The public u-coordinate, 32 bytes, little-endian.</summary>
    public ReadOnlyMemory<byte> PublicKey => _publicKey;

    /// <summary>A new secret from the system's random number generator.</summary>
    public static X25519PrivateKey Generate()
    {
        Span<byte> scalar = stackalloc byte[Length];
        RandomNumberGenerator.Fill(scalar);
        try
        {
            return FromScalar(scalar);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(scalar);
        }
    }

    /// <summary>The secret with this scalar of 32 bytes, which is copied; the caller wipes its own.</summary>
    /// <exception cref="ArgumentException">The scalar is not 32 bytes.</exception>
    public static X25519PrivateKey FromScalar(ReadOnlySpan<byte> scalar)
    {
        if (scalar.Length != Length) throw new ArgumentException("An X25519 scalar is 32 bytes.", nameof(scalar));
        return new X25519PrivateKey(scalar);
    }

    /// <summary>
    /// Writes the 32 bytes shared with the owner of <paramref name="peer"/> into <paramref name="secret"/>. False, with
    /// the secret zeroed, when the peer's value is not 32 bytes or leads to the all-zero secret.
    /// </summary>
    /// <exception cref="ArgumentException">There is room for fewer than 32 bytes.</exception>
    public bool TryDerive(ReadOnlySpan<byte> peer, Span<byte> secret)
    {
        if (secret.Length < Length) throw new ArgumentException("An X25519 secret is 32 bytes.", nameof(secret));
        secret = secret[..Length];
        secret.Clear();
        if (peer.Length != Length) return false;

        KeyHandle peerKey = t_peer ??= LibCryptoResult.Checked(LibCrypto.NewRawPublicKey(LibCrypto.X25519, 0, peer, Length), "allocating an X25519 key");
        KeyContextHandle context = Interlocked.Exchange(ref _context, null) ?? NewContext();
        nuint length = Length;
        bool derived = LibCrypto.SetEncodedPublicKey(peerKey, peer, Length) == 1
            && LibCrypto.DeriveSetPeer(context, peerKey, validate: 0) == 1
            && LibCrypto.Derive(context, secret, ref length) == 1
            && length == Length
            && !CryptographicOperations.FixedTimeEquals(secret, stackalloc byte[Length]);
        // Another thread may have put its own back meanwhile.
        Interlocked.Exchange(ref _context, context)?.Dispose();
        if (derived) return true;

        LibCrypto.ClearErrors();
        secret.Clear();
        return false;
    }

    /// <summary>Wipes and frees the secret.</summary>
    public void Dispose()
    {
        _key.Dispose();
        Interlocked.Exchange(ref _context, null)?.Dispose();
    }

    // With any public value, which nobody looks at: libcrypto would compute the one that it is not given.
    private static unsafe KeyHandle Import(ReadOnlySpan<byte> scalar)
    {
        KeyContextHandle import = t_import ??= NewImport();
        fixed (byte* secretName = "priv\0"u8, publicName = "pub\0"u8, secret = scalar, any = BasePoint)
        {
            LibCryptoParameter* parts = stackalloc LibCryptoParameter[3];
            parts[0] = new LibCryptoParameter((nint)secretName, 5, (nint)secret, Length, 0);
            parts[1] = new LibCryptoParameter((nint)publicName, 5, (nint)any, Length, 0);
            parts[2] = default;
            LibCryptoResult.Check(LibCrypto.FromData(import, out KeyHandle key, LibCrypto.KeyPair, parts), "importing an X25519 key");
            return LibCryptoResult.Checked(key, "importing an X25519 key");
        }
    }

    private static KeyContextHandle NewImport()
    {
        KeyContextHandle import = LibCryptoResult.Checked(LibCrypto.NewKeyContext(0, "X25519", 0), "allocating a context for X25519 keys");
        LibCryptoResult.Check(LibCrypto.FromDataInit(import), "preparing a context for X25519 keys");
        return import;
    }

    private KeyContextHandle NewContext()
    {
        KeyContextHandle context = LibCryptoResult.Checked(LibCrypto.NewKeyContext(_key, 0), "allocating a key agreement");
        LibCryptoResult.Check(LibCrypto.DeriveInit(context), "starting a key agreement");
        return context;
    }
}
