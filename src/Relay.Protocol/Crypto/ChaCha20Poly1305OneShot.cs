namespace Relay.Protocol.Crypto;

/// <summary>
/// ChaCha20-Poly1305 (see <see cref="ChaCha20Poly1305Context"/>) for keys that serve one message. Safe for concurrent use:
/// each thread has its own contexts, which live as long as it and keep no key.
/// </summary>
internal static class ChaCha20Poly1305OneShot
{
    [ThreadStatic]
    private static ChaCha20Poly1305Context? t_seal;

    [ThreadStatic]
    private static ChaCha20Poly1305Context? t_open;

    /// <summary>Encrypts <paramref name="text"/> in place and writes the tag over it and <paramref name="associated"/>.</summary>
    public static void Encrypt(ReadOnlySpan<byte> key, ulong nonce, ReadOnlySpan<byte> associated, Span<byte> text, Span<byte> tag)
    {
        ChaCha20Poly1305Context context = t_seal ??= new ChaCha20Poly1305Context(encrypts: true);
        context.SetKey(key);
        context.Encrypt(nonce, associated, text, tag);
        context.ForgetKey();
    }

    /// <summary>Decrypts <paramref name="text"/> in place; false, with the text zeroed, when the tag is not the right one.</summary>
    public static bool TryDecrypt(ReadOnlySpan<byte> key, ulong nonce, ReadOnlySpan<byte> associated, Span<byte> text, ReadOnlySpan<byte> tag)
    {
        ChaCha20Poly1305Context context = t_open ??= new ChaCha20Poly1305Context(encrypts: false);
        context.SetKey(key);
        bool good = context.TryDecrypt(nonce, associated, text, tag);
        context.ForgetKey();
        return good;
    }
}
