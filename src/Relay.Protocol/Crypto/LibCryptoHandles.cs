using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Relay.Protocol.Crypto;

/// <summary>A libcrypto object that is freed once, whatever happens; zero is invalid.</summary>
internal abstract class LibCryptoHandle() : SafeHandle(0, ownsHandle: true)
{
    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;
}

/// <summary>EVP_PKEY. Safe for concurrent use as long as nobody gives it another value.</summary>
internal sealed class KeyHandle : LibCryptoHandle
{
    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        LibCrypto.FreeKey(handle);
        return true;
    }
}

/// <summary>EVP_PKEY_CTX. Not thread-safe.</summary>
internal sealed class KeyContextHandle : LibCryptoHandle
{
    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        LibCrypto.FreeKeyContext(handle);
        return true;
    }
}

/// <summary>EVP_MD_CTX. Not thread-safe.</summary>
internal sealed class DigestContextHandle : LibCryptoHandle
{
    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        LibCrypto.FreeDigestContext(handle);
        return true;
    }
}

/// <summary>EVP_MD, fetched. Safe for concurrent use.</summary>
internal sealed class DigestHandle : LibCryptoHandle
{
    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        LibCrypto.FreeDigest(handle);
        return true;
    }
}

/// <summary>EVP_CIPHER_CTX. Not thread-safe.</summary>
internal sealed class CipherContextHandle : LibCryptoHandle
{
    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        LibCrypto.FreeCipherContext(handle);
        return true;
    }
}

/// <summary>EVP_CIPHER, fetched. Safe for concurrent use.</summary>
internal sealed class CipherHandle : LibCryptoHandle
{
    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        LibCrypto.FreeCipher(handle);
        return true;
    }
}

/// <summary>EVP_MAC_CTX. Not thread-safe.</summary>
internal sealed class MacContextHandle : LibCryptoHandle
{
    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        LibCrypto.FreeMacContext(handle);
        return true;
    }
}

/// <summary>EVP_MAC, fetched. Safe for concurrent use.</summary>
internal sealed class MacHandle : LibCryptoHandle
{
    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        LibCrypto.FreeMac(handle);
        return true;
    }
}

/// <summary>How results of libcrypto become exceptions: only for what cannot fail but for memory or a broken library.</summary>
internal static class LibCryptoResult
{
    /// <summary>Returns the handle, or throws <see cref="CryptographicException"/> naming the operation when it is null.</summary>
    public static T Checked<T>(T handle, string operation)
        where T : LibCryptoHandle
    {
        if (!handle.IsInvalid) return handle;
        handle.Dispose();
        throw Failure(operation);
    }

    /// <summary>Throws <see cref="CryptographicException"/> naming the operation unless the result is 1.</summary>
    public static void Check(int result, string operation)
    {
        if (result != 1) throw Failure(operation);
    }

    private static CryptographicException Failure(string operation)
    {
        LibCrypto.ClearErrors();
        return new CryptographicException($"libcrypto: {operation} failed.");
    }
}
