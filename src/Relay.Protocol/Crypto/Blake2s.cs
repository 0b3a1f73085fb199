using System.Security.Cryptography;

namespace Relay.Protocol.Crypto;

// What: BLAKE2s by libcrypto: the hash of 32 bytes, HMAC over it, and the keyed MAC of 16 bytes, over contexts that are kept.
// References: RFC 7693 (BLAKE2s), RFC 2104 (HMAC).
// Parameters: digest 32 bytes, block 64 bytes; HMAC keys up to 64 bytes; MAC keys 1 to 32 bytes, MAC 16 bytes.
// Failure: none that a peer can cause.

/// <summary>BLAKE2s in the three forms that WireGuard uses. Not thread-safe; <see cref="ForThread"/> is the calling thread's own. Caller disposes what it made.</summary>
internal sealed unsafe class Blake2s : IDisposable
{
    /// <summary>Length of a digest and of an HMAC, in bytes.</summary>
    public const int DigestLength = 32;

    /// <summary>Length of a keyed MAC, in bytes.</summary>
    public const int MacLength = 16;

    // The block of the compression function, RFC 7693 §2.1: what HMAC pads its key to.
    private const int BlockLength = 64;

    // Fetched once: a fetch by name costs more than a message. They live as long as the process.
    private static readonly DigestHandle Digest = LibCryptoResult.Checked(LibCrypto.FetchDigest(0, "BLAKE2S-256", 0), "fetching BLAKE2s");
    private static readonly MacHandle KeyedMac = LibCryptoResult.Checked(LibCrypto.FetchMac(0, "BLAKE2SMAC", 0), "fetching the BLAKE2s MAC");

    private static readonly nint s_digest = Digest.DangerousGetHandle();

    [ThreadStatic]
    private static Blake2s? t_own;

    private readonly DigestContextHandle _digestHandle = LibCryptoResult.Checked(LibCrypto.NewDigestContext(), "allocating a BLAKE2s context");
    // Alive as long as this object: Dispose alone frees it.
    private readonly nint _digest;
    private readonly MacContextHandle _mac = LibCryptoResult.Checked(LibCrypto.NewMacContext(KeyedMac), "allocating a BLAKE2s MAC context");

    public Blake2s()
    {
        _digest = _digestHandle.DangerousGetHandle();
        SetMacLength(_mac);
    }

    /// <summary>The calling thread's instance, which lives as long as the thread; not to be disposed.</summary>
    public static Blake2s ForThread => t_own ??= new Blake2s();

    /// <summary>Writes the digest of <paramref name="first"/> and <paramref name="second"/>, one after the other, into 32 bytes, which may be those of an input.</summary>
    public void Hash(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, Span<byte> digest)
    {
        Start();
        Add(first);
        Add(second);
        Finish(digest);
    }

    /// <summary>Writes HMAC(key, first ‖ second) into 32 bytes, which may be those of an input.</summary>
    /// <exception cref="ArgumentException">The key is longer than 64 bytes.</exception>
    public void Hmac(ReadOnlySpan<byte> key, ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, Span<byte> mac)
    {
        if (key.Length > BlockLength) throw new ArgumentException("An HMAC key here is at most 64 bytes.", nameof(key));
        Span<byte> pad = stackalloc byte[BlockLength];
        Span<byte> inner = stackalloc byte[DigestLength];
        Pad(key, 0x36, pad);
        Start();
        Add(pad);
        Add(first);
        Add(second);
        Finish(inner);
        Pad(key, 0x5c, pad);
        Start();
        Add(pad);
        Add(inner);
        Finish(mac);
        CryptographicOperations.ZeroMemory(pad);
        CryptographicOperations.ZeroMemory(inner);
    }

    /// <summary>Writes the keyed MAC of <paramref name="data"/> into 16 bytes.</summary>
    /// <exception cref="ArgumentException">The key is not 1 to 32 bytes.</exception>
    public void Mac(ReadOnlySpan<byte> key, ReadOnlySpan<byte> data, Span<byte> mac)
    {
        if (key.Length is 0 or > DigestLength) throw new ArgumentException("A BLAKE2s key is 1 to 32 bytes.", nameof(key));
        if (mac.Length < MacLength) throw new ArgumentException("A MAC is 16 bytes.", nameof(mac));
        if (LibCrypto.MacInit(_mac, key, (nuint)key.Length, 0) != 1
            || LibCrypto.MacUpdate(_mac, data, (nuint)data.Length) != 1
            || LibCrypto.MacFinal(_mac, mac, out nuint written, MacLength) != 1
            || written != MacLength)
        {
            throw Failure();
        }
    }

    /// <summary>Wipes and frees the contexts.</summary>
    public void Dispose()
    {
        _digestHandle.Dispose();
        _mac.Dispose();
    }

    private static void SetMacLength(MacContextHandle mac)
    {
        // The parameter "size" of EVP_MAC-BLAKE2(7): a shorter MAC is another function, not the longer one cut off.
        nuint size = MacLength;
        fixed (byte* name = "size\0"u8)
        {
            LibCryptoParameter* parameters = stackalloc LibCryptoParameter[2];
            parameters[0] = new LibCryptoParameter((nint)name, 2, (nint)(&size), (nuint)sizeof(nuint), 0);
            parameters[1] = default;
            LibCryptoResult.Check(LibCrypto.SetMacParameters(mac, parameters), "setting the length of a BLAKE2s MAC");
        }
    }

    private static void Pad(ReadOnlySpan<byte> key, byte with, Span<byte> pad)
    {
        pad.Fill(with);
        for (int i = 0; i < key.Length; i++) pad[i] ^= key[i];
    }

    private static CryptographicException Failure()
    {
        LibCrypto.ClearErrors();
        return new CryptographicException("libcrypto: BLAKE2s failed.");
    }

    private void Start()
    {
        ObjectDisposedException.ThrowIf(_digestHandle.IsClosed, this);
        if (LibCrypto.DigestInit(_digest, s_digest, 0) != 1) throw Failure();
    }

    private void Add(ReadOnlySpan<byte> data)
    {
        fixed (byte* bytes = data)
        {
            if (!data.IsEmpty && LibCrypto.DigestUpdate(_digest, bytes, (nuint)data.Length) != 1) throw Failure();
        }
    }

    private void Finish(Span<byte> digest)
    {
        if (digest.Length < DigestLength) throw new ArgumentException("A BLAKE2s digest is 32 bytes.", nameof(digest));
        uint written;
        fixed (byte* bytes = digest)
        {
            if (LibCrypto.DigestFinal(_digest, bytes, &written) != 1) throw Failure();
        }
    }
}
