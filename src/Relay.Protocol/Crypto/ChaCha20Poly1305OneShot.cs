namespace Relay.Protocol.Crypto;

/// <summary>
/// ChaCha20-Poly1305 (see <see cref="ChaCha20Poly1305Context"/>) for keys that serve one message. Safe for concurrent use:
/// each thread has its own context, which lives as long as it and keeps no key.
/// </summary>
internal static class ChaCha20Poly1305OneShot
{
    [ThreadStatic]
    private static ChaCha20Poly1305Context? t_own;

    /// <summary>Encrypts <paramref name="text"/> in place and writes the tag over it and <paramref name="associated"/>.</summary>
    public static void Encrypt(ReadOnlySpan<byte> key, ulong nonce, ReadOnlySpan<byte> associated, Span<byte> text, Span<byte> tag)
    {
        ChaCha20Poly1305Context context = t_own ??= new ChaCha20Poly1305Context();
        context.SetKey(key);
        context.Encrypt(nonce, associated, text, tag);
        context.ForgetKey();
    }

    /// <summary>Decrypts <paramref name="text"/> in place; false, with the text as it was, when the tag is not the right one.</summary>
    public static bool TryDecrypt(ReadOnlySpan<byte> key, ulong nonce, ReadOnlySpan<byte> associated, Span<byte> text, ReadOnlySpan<byte> tag)
    {
        ChaCha20Poly1305Context context = t_own ??= new ChaCha20Poly1305Context();
        context.SetKey(key);
        bool good = context.TryDecrypt(nonce, associated, text, tag);
        context.ForgetKey();
        return good;
    }
}
