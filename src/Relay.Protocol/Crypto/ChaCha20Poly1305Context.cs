using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Relay.Protocol.Crypto;

// What: ChaCha20-Poly1305 in place, joined as RFC 8439 §2.8 says from libcrypto's ChaCha20 and Poly1305, over contexts that
//   are kept and take one key after another.
// Why not libcrypto's own: it makes block 0, which is Poly1305's key, and the last block of a text by calls of their own. Here all
//   of the key stream is one call: a packet of 1420 bytes takes three quarters of the time, an empty one as well (wg.seal,
//   wg.open). The framework's class needs longer still.
// References: RFC 8439 §2.4 (ChaCha20), §2.5 (Poly1305), §2.6 (its key), §2.8 (both).
// Parameters: key 32 bytes; nonce 12 bytes, of which the first 4 are zero and the rest is a number, little-endian; tag 16
//   bytes. A nonce must not be used twice for encrypting under one key.
// Failure: a wrong tag is "false"; the text is as it was then.

/// <summary>ChaCha20-Poly1305, both directions. Not thread-safe. Caller disposes, which wipes the key.</summary>
internal sealed unsafe class ChaCha20Poly1305Context : IDisposable
{
    /// <summary>Length of the key, in bytes.</summary>
    public const int KeyLength = 32;

    /// <summary>Length of the tag, in bytes.</summary>
    public const int TagLength = 16;

    private const int BlockLength = 64, MacBlockLength = 16, IvLength = 16;

    // Block 0 and a packet of 1500 bytes.
    private const int UsualRoom = BlockLength + 1536;

    // Fetched once: a fetch by name costs more than a packet. They live as long as the process.
    private static readonly CipherHandle Cipher = LibCryptoResult.Checked(LibCrypto.FetchCipher(0, "ChaCha20", 0), "fetching ChaCha20");
    private static readonly MacHandle Mac = LibCryptoResult.Checked(LibCrypto.FetchMac(0, "POLY1305", 0), "fetching Poly1305");

    private readonly CipherContextHandle _cipherHandle;
    private readonly MacContextHandle _macHandle;
    private readonly nint _cipher;
    private readonly nint _mac;

    // Where texts are worked on: block 0, zeros between two texts, and the text's blocks.
    private byte[] _room = new byte[UsualRoom];

    /// <summary>A context under a key of zeros until <see cref="SetKey"/>.</summary>
    public ChaCha20Poly1305Context()
    {
        _cipherHandle = LibCryptoResult.Checked(LibCrypto.NewCipherContext(), "allocating a cipher context");
        _macHandle = LibCryptoResult.Checked(LibCrypto.NewMacContext(Mac), "allocating a Poly1305 context");
        LibCryptoResult.Check(LibCrypto.CipherInit(_cipherHandle, Cipher, 0, stackalloc byte[KeyLength], stackalloc byte[IvLength], 1), "setting a cipher's key");
        // Alive as long as this object: Dispose alone frees them.
        (_cipher, _mac) = (_cipherHandle.DangerousGetHandle(), _macHandle.DangerousGetHandle());
    }

    /// <summary>Takes another key, which is copied.</summary>
    /// <exception cref="ArgumentException">The key is not 32 bytes.</exception>
    public void SetKey(ReadOnlySpan<byte> key)
    {
        if (key.Length != KeyLength) throw new ArgumentException("The key is 32 bytes.", nameof(key));
        ObjectDisposedException.ThrowIf(_cipherHandle.IsClosed, this);
        fixed (byte* bytes = key)
        {
            if (LibCrypto.CipherInit(_cipher, 0, 0, bytes, null, -1) != 1) throw Failure();
        }
    }

    /// <summary>Overwrites the key with zeros; nothing may be encrypted until the next <see cref="SetKey"/>.</summary>
    public void ForgetKey() => SetKey(stackalloc byte[KeyLength]);

    /// <summary>Encrypts <paramref name="text"/> in place and writes the tag over it and <paramref name="associated"/>.</summary>
    public void Encrypt(ulong nonce, ReadOnlySpan<byte> associated, Span<byte> text, Span<byte> tag)
    {
        CheckUse(tag);
        Span<byte> encrypted = ApplyKeyStream(nonce, text);
        encrypted.CopyTo(text);
        WriteTag(associated, text, tag);
    }

    /// <summary>Decrypts <paramref name="text"/> in place; false, with the text as it was, when the tag is not the right one.</summary>
    public bool TryDecrypt(ulong nonce, ReadOnlySpan<byte> associated, Span<byte> text, ReadOnlySpan<byte> tag)
    {
        CheckUse(tag);
        // SECURITY: what is decrypted leaves the room only when the tag is the right one.
        Span<byte> decrypted = ApplyKeyStream(nonce, text);
        byte* expected = stackalloc byte[TagLength];
        WriteTag(associated, text, new Span<byte>(expected, TagLength));
        // The framework's comparison of fixed time takes a twentieth of a packet's.
        fixed (byte* given = tag)
        {
            if (LibCrypto.Compare(expected, given, TagLength) != 0) return false;
        }

        decrypted.CopyTo(text);
        return true;
    }

    /// <summary>Wipes and frees the contexts.</summary>
    public void Dispose()
    {
        _cipherHandle.Dispose();
        _macHandle.Dispose();
        CryptographicOperations.ZeroMemory(_room);
    }

    private static CryptographicException Failure()
    {
        LibCrypto.ClearErrors();
        return new CryptographicException("libcrypto: ChaCha20-Poly1305 failed.");
    }

    private static int Padding(int length) => -length & (MacBlockLength - 1);

    // Leaves the start of block 0 before what it returns: the key of this text's tag.
    private Span<byte> ApplyKeyStream(ulong nonce, ReadOnlySpan<byte> text)
    {
        // Whole blocks: a part of one costs a call of its own. What lies behind the text does not matter.
        int length = BlockLength + ((text.Length + BlockLength - 1) & ~(BlockLength - 1));
        if (_room.Length < length)
        {
            CryptographicOperations.ZeroMemory(_room);
            _room = new byte[length];
        }

        text.CopyTo(_room.AsSpan(BlockLength));
        // The number of the block, 32 bits, and the nonce.
        byte* iv = stackalloc byte[IvLength];
        *(ulong*)iv = 0;
        BinaryPrimitives.WriteUInt64LittleEndian(new Span<byte>(iv + 8, 8), nonce);
        int written;
        fixed (byte* room = _room)
        {
            if (LibCrypto.CipherInit(_cipher, 0, 0, null, iv, -1) != 1 || LibCrypto.CipherUpdate(_cipher, room, &written, room, length) != 1 || written != length)
                throw Failure();
        }

        return _room.AsSpan(BlockLength, text.Length);
    }

    // Uses up the key in block 0.
    private void WriteTag(ReadOnlySpan<byte> associated, ReadOnlySpan<byte> encrypted, Span<byte> tag)
    {
        // Zeros to a whole block, then both lengths.
        byte* end = stackalloc byte[2 * MacBlockLength];
        new Span<byte>(end, MacBlockLength).Clear();
        int padding = Padding(encrypted.Length);
        BinaryPrimitives.WriteInt64LittleEndian(new Span<byte>(end + padding, 8), associated.Length);
        BinaryPrimitives.WriteInt64LittleEndian(new Span<byte>(end + padding + 8, 8), encrypted.Length);
        nuint written;
        bool done;
        fixed (byte* key = _room, ad = associated, text = encrypted, result = tag)
        {
            done = LibCrypto.MacInit(_mac, key, KeyLength, 0) == 1
                && (associated.IsEmpty || AddPadded(ad, associated.Length))
                && (encrypted.IsEmpty || LibCrypto.MacUpdate(_mac, text, (nuint)encrypted.Length) == 1)
                && LibCrypto.MacUpdate(_mac, end, (nuint)(padding + MacBlockLength)) == 1
                && LibCrypto.MacFinal(_mac, result, &written, TagLength) == 1;
        }

        CryptographicOperations.ZeroMemory(_room.AsSpan(0, BlockLength));
        if (!done) throw Failure();
    }

    private bool AddPadded(byte* bytes, int length)
    {
        byte* zeros = stackalloc byte[MacBlockLength];
        new Span<byte>(zeros, MacBlockLength).Clear();
        return LibCrypto.MacUpdate(_mac, bytes, (nuint)length) == 1 && LibCrypto.MacUpdate(_mac, zeros, (nuint)Padding(length)) == 1;
    }

    private void CheckUse(ReadOnlySpan<byte> tag)
    {
        ObjectDisposedException.ThrowIf(_cipherHandle.IsClosed, this);
        if (tag.Length != TagLength) throw new ArgumentException("The tag is 16 bytes.", nameof(tag));
    }
}
