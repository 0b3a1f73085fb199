using System.Runtime.InteropServices;

namespace Relay.Protocol.Crypto;

// What: the part of OpenSSL 3's libcrypto that the shared framework does not offer.
// References: the manual pages EVP_PKEY_new(3), EVP_DigestSign(3), EVP_PKEY_derive(3), EVP_EncryptInit(3), EVP_DigestInit(3), EVP_MAC(3), OSSL_PARAM(3).
// Failure: unless a line says otherwise a call returns 1 for success and 0 or a negative number for failure, and
// leaves an entry in the calling thread's error queue, which ClearErrors empties: the framework shares that queue.

/// <summary>The imports, one line each, with what they return and who frees it. SafeHandle results are freed by the handle.</summary>
internal static partial class LibCrypto
{
    private const string Library = "libcrypto.so.3";

    /// <summary>NID_X25519 and NID_ED25519 of obj_mac.h: the numbers of the raw key types.</summary>
    public const int X25519 = 1034, Ed25519 = 1087;

    /// <summary>EVP_PKEY_KEYPAIR of evp.h: a key with its secret part.</summary>
    public const int KeyPair = 0x87;

    /// <summary>EVP_CTRL_AEAD_GET_TAG and EVP_CTRL_AEAD_SET_TAG of evp.h.</summary>
    public const int AeadGetTag = 0x10, AeadSetTag = 0x11;

    /// <summary>Makes a private key from its raw bytes, which are copied. Null (invalid handle) on failure.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_PKEY_new_raw_private_key")]
    public static partial KeyHandle NewRawPrivateKey(int type, nint engine, ReadOnlySpan<byte> key, nuint length);

    /// <summary>A context that makes keys of the named kind. Null on failure.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_PKEY_CTX_new_from_name", StringMarshalling = StringMarshalling.Utf8)]
    public static partial KeyContextHandle NewKeyContext(nint libraryContext, string name, nint properties);

    /// <summary>Prepares the context for making keys from their parts.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_PKEY_fromdata_init")]
    public static partial int FromDataInit(KeyContextHandle context);

    /// <summary>Makes a key from its parts (an array of OSSL_PARAM that ends with a null key), which are copied; <paramref name="selection"/> is <see cref="KeyPair"/>.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_PKEY_fromdata")]
    public static unsafe partial int FromData(KeyContextHandle context, out KeyHandle key, int selection, LibCryptoParameter* parameters);

    /// <summary>Makes a public key from its raw bytes, which are copied. Null (invalid handle) on failure.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_PKEY_new_raw_public_key")]
    public static partial KeyHandle NewRawPublicKey(int type, nint engine, ReadOnlySpan<byte> key, nuint length);

    /// <summary>Gives the key this public value instead of the one it has. 1 on success.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_PKEY_set1_encoded_public_key")]
    public static partial int SetEncodedPublicKey(KeyHandle key, ReadOnlySpan<byte> encoded, nuint length);

    /// <summary>Copies the raw public key out; <paramref name="length"/> is the room before and the size after.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_PKEY_get_raw_public_key")]
    public static partial int GetRawPublicKey(KeyHandle key, Span<byte> raw, ref nuint length);

    /// <summary>Copies the raw private key out; <paramref name="length"/> is the room before and the size after.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_PKEY_get_raw_private_key")]
    public static partial int GetRawPrivateKey(KeyHandle key, Span<byte> raw, ref nuint length);

    /// <summary>A context for one key agreement; takes its own reference of the key. Null on failure.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_PKEY_CTX_new")]
    public static partial KeyContextHandle NewKeyContext(KeyHandle key, nint engine);

    /// <summary>Prepares the context for deriving.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_PKEY_derive_init")]
    public static partial int DeriveInit(KeyContextHandle context);

    /// <summary>
    /// Sets the peer's public key, in place of an earlier one; the context takes its own reference. Without validating (0) it is not checked
    /// beforehand, which for X25519 has nothing to check (RFC 7748 §5) but takes a tenth of the agreement's time.
    /// </summary>
    [LibraryImport(Library, EntryPoint = "EVP_PKEY_derive_set_peer_ex")]
    public static partial int DeriveSetPeer(KeyContextHandle context, KeyHandle peer, int validate);

    /// <summary>Writes the shared secret; fails for X25519 when it is all zero (RFC 7748 §6.1).</summary>
    [LibraryImport(Library, EntryPoint = "EVP_PKEY_derive")]
    public static partial int Derive(KeyContextHandle context, Span<byte> secret, ref nuint length);

    /// <summary>A context for one signature. Null only when memory is out.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_MD_CTX_new")]
    public static partial DigestContextHandle NewDigestContext();

    /// <summary>Starts signing; digest and engine are null for Ed25519. The context takes its own reference of the key.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_DigestSignInit")]
    public static partial int DigestSignInit(DigestContextHandle context, nint keyContext, nint digest, nint engine, KeyHandle key);

    /// <summary>Signs in one shot; <paramref name="length"/> is the room before and the size after.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_DigestSign")]
    public static partial int DigestSign(DigestContextHandle context, Span<byte> signature, ref nuint length, ReadOnlySpan<byte> data, nuint dataLength);

    /// <summary>Starts verifying; digest and engine are null for Ed25519. The context takes its own reference of the key.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_DigestVerifyInit")]
    public static partial int DigestVerifyInit(DigestContextHandle context, nint keyContext, nint digest, nint engine, KeyHandle key);

    /// <summary>Returns 1 only for a good signature; 0 for a bad one, negative for an error: only 1 may count as good.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_DigestVerify")]
    public static partial int DigestVerify(DigestContextHandle context, ReadOnlySpan<byte> signature, nuint length, ReadOnlySpan<byte> data, nuint dataLength);

    /// <summary>A context for one direction of a cipher; freeing it wipes the key schedule. Null only when memory is out.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_CIPHER_CTX_new")]
    public static partial CipherContextHandle NewCipherContext();

    /// <summary>The named cipher of the default provider. Null when there is none.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_CIPHER_fetch", StringMarshalling = StringMarshalling.Utf8)]
    public static partial CipherHandle FetchCipher(nint libraryContext, string algorithm, nint properties);

    /// <summary>Sets cipher, key and IV (all copied); encrypt is 1 or 0.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_CipherInit_ex")]
    public static partial int CipherInit(CipherContextHandle context, CipherHandle cipher, nint engine, ReadOnlySpan<byte> key, ReadOnlySpan<byte> iv, int encrypt);

    /// <summary>Sets a new IV and starts again under the key already set: cipher and key are null, encrypt is -1 for "as before".</summary>
    [LibraryImport(Library, EntryPoint = "EVP_CipherInit_ex")]
    public static partial int CipherRestart(CipherContextHandle context, nint cipher, nint engine, nint key, ReadOnlySpan<byte> iv, int encrypt);

    /// <summary>Encrypts or decrypts; in and out may be the same memory. <paramref name="written"/> bytes came out.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_CipherUpdate")]
    public static partial int CipherUpdate(CipherContextHandle context, Span<byte> output, out int written, ReadOnlySpan<byte> input, int length);

    /// <summary>Adds bytes that are authenticated but not encrypted: the output is null, and <paramref name="written"/> is their number.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_CipherUpdate")]
    public static partial int CipherAssociatedData(CipherContextHandle context, nint output, out int written, ReadOnlySpan<byte> input, int length);

    /// <summary>Ends an AEAD message; nothing comes out. When decrypting, 1 is the only proof that the tag was right: it is compared in constant time.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_CipherFinal_ex")]
    public static partial int CipherFinal(CipherContextHandle context, Span<byte> output, out int written);

    /// <summary>Copies the tag out after encrypting (<see cref="AeadGetTag"/>) or in before the end of decrypting (<see cref="AeadSetTag"/>).</summary>
    [LibraryImport(Library, EntryPoint = "EVP_CIPHER_CTX_ctrl")]
    public static partial int CipherControl(CipherContextHandle context, int command, int length, Span<byte> tag);

    /// <summary>
    /// The calls above for the one place where they are made per datagram, with the pointers that a handle would give after
    /// counting references twice per call: the caller keeps the handle alive. Null for what does not change. Those that take
    /// no longer than a tenth of a microsecond and never wait do not tell the collector that they are away.
    /// </summary>
    [LibraryImport(Library, EntryPoint = "EVP_CipherInit_ex")]
    [SuppressGCTransition]
    public static unsafe partial int CipherInit(nint context, nint cipher, nint engine, byte* key, byte* iv, int encrypt);

    /// <inheritdoc cref="CipherInit(nint, nint, nint, byte*, byte*, int)"/>
    [LibraryImport(Library, EntryPoint = "EVP_CipherUpdate")]
    public static unsafe partial int CipherUpdate(nint context, byte* output, int* written, byte* input, int length);

    /// <inheritdoc cref="CipherInit(nint, nint, nint, byte*, byte*, int)"/>
    [LibraryImport(Library, EntryPoint = "EVP_MAC_init")]
    [SuppressGCTransition]
    public static unsafe partial int MacInit(nint context, byte* key, nuint keyLength, nint parameters);

    /// <inheritdoc cref="CipherInit(nint, nint, nint, byte*, byte*, int)"/>
    [LibraryImport(Library, EntryPoint = "EVP_MAC_update")]
    public static unsafe partial int MacUpdate(nint context, byte* data, nuint length);

    /// <inheritdoc cref="CipherInit(nint, nint, nint, byte*, byte*, int)"/>
    [LibraryImport(Library, EntryPoint = "EVP_MAC_final")]
    [SuppressGCTransition]
    public static unsafe partial int MacFinal(nint context, byte* tag, nuint* written, nuint room);

    /// <summary>0 when both are the same, in a time that does not say where they differ.</summary>
    [LibraryImport(Library, EntryPoint = "CRYPTO_memcmp")]
    [SuppressGCTransition]
    public static unsafe partial int Compare(byte* one, byte* other, nuint length);

    /// <summary>The named digest of the default provider. Null when there is none.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_MD_fetch", StringMarshalling = StringMarshalling.Utf8)]
    public static partial DigestHandle FetchDigest(nint libraryContext, string algorithm, nint properties);

    /// <summary>
    /// Starts a new message. This and the two calls below are made a hundred times for a handshake, for some hundred bytes at most: with pointers that the
    /// caller keeps alive, and without telling the collector.
    /// </summary>
    [LibraryImport(Library, EntryPoint = "EVP_DigestInit_ex2")]
    [SuppressGCTransition]
    public static partial int DigestInit(nint context, nint digest, nint parameters);

    /// <summary>Adds bytes of the message.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_DigestUpdate")]
    [SuppressGCTransition]
    public static unsafe partial int DigestUpdate(nint context, byte* data, nuint length);

    /// <summary>Ends the message; <paramref name="written"/> bytes of digest came out, which the caller has room for.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_DigestFinal_ex")]
    [SuppressGCTransition]
    public static unsafe partial int DigestFinal(nint context, byte* digest, uint* written);

    /// <summary>The named MAC of the default provider. Null when there is none.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_MAC_fetch", StringMarshalling = StringMarshalling.Utf8)]
    public static partial MacHandle FetchMac(nint libraryContext, string algorithm, nint properties);

    /// <summary>A context of the MAC, which it takes its own reference of; freeing it wipes the key. Null on failure.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_MAC_CTX_new")]
    public static partial MacContextHandle NewMacContext(MacHandle mac);

    /// <summary>Starts a new message under the key, which is copied.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_MAC_init")]
    public static partial int MacInit(MacContextHandle context, ReadOnlySpan<byte> key, nuint keyLength, nint parameters);

    /// <summary>Sets parameters (an array of OSSL_PARAM that ends with a null key, read during the call), which stay for all later messages.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_MAC_CTX_set_params")]
    public static unsafe partial int SetMacParameters(MacContextHandle context, LibCryptoParameter* parameters);

    /// <summary>Adds bytes of the message.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_MAC_update")]
    public static partial int MacUpdate(MacContextHandle context, ReadOnlySpan<byte> data, nuint length);

    /// <summary>Ends the message; <paramref name="written"/> bytes of tag came out.</summary>
    [LibraryImport(Library, EntryPoint = "EVP_MAC_final")]
    public static partial int MacFinal(MacContextHandle context, Span<byte> tag, out nuint written, nuint room);

    /// <summary>Empties the calling thread's error queue; returns nothing.</summary>
    [LibraryImport(Library, EntryPoint = "ERR_clear_error")]
    public static partial void ClearErrors();

    [LibraryImport(Library, EntryPoint = "EVP_PKEY_free")]
    internal static partial void FreeKey(nint key);

    [LibraryImport(Library, EntryPoint = "EVP_PKEY_CTX_free")]
    internal static partial void FreeKeyContext(nint context);

    [LibraryImport(Library, EntryPoint = "EVP_MD_CTX_free")]
    internal static partial void FreeDigestContext(nint context);

    [LibraryImport(Library, EntryPoint = "EVP_CIPHER_CTX_free")]
    internal static partial void FreeCipherContext(nint context);

    [LibraryImport(Library, EntryPoint = "EVP_CIPHER_free")]
    internal static partial void FreeCipher(nint cipher);

    [LibraryImport(Library, EntryPoint = "EVP_MD_free")]
    internal static partial void FreeDigest(nint digest);

    [LibraryImport(Library, EntryPoint = "EVP_MAC_CTX_free")]
    internal static partial void FreeMacContext(nint context);

    [LibraryImport(Library, EntryPoint = "EVP_MAC_free")]
    internal static partial void FreeMac(nint mac);
}

/// <summary>OSSL_PARAM: one named value for libcrypto. Only what the pointers point to during a call is read.</summary>
/// <param name="Key">Name, ASCII with a terminating zero; null ends an array.</param>
/// <param name="Type">2: an unsigned integer in the machine's byte order; 5: bytes.</param>
/// <param name="Data">The value.</param>
/// <param name="DataLength">Its length in bytes.</param>
/// <param name="ReturnedLength">Written by calls that ask for a value.</param>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct LibCryptoParameter(nint Key, uint Type, nint Data, nuint DataLength, nuint ReturnedLength);
