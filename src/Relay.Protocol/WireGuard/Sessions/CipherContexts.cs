using Relay.Protocol.Crypto;

namespace Relay.Protocol.WireGuard;

/// <summary>
/// The calling thread's cipher contexts. A thread needs one for each direction, or a few while batches are open within each
/// other; they live as long as the thread and hold no key while nobody has them.
/// </summary>
internal static class CipherContexts
{
    // More are made when needed and freed when given back.
    private const int Kept = 4;

    [ThreadStatic]
    private static Stack<ChaCha20Poly1305Context>? t_seal;

    [ThreadStatic]
    private static Stack<ChaCha20Poly1305Context>? t_open;

    /// <summary>A context that encrypts; give it back to <see cref="ReturnSeal"/>, on the same thread.</summary>
    public static ChaCha20Poly1305Context RentSeal() => t_seal is not null && t_seal.TryPop(out var context) ? context : new ChaCha20Poly1305Context(encrypts: true);

    /// <summary>A context that decrypts; give it back to <see cref="ReturnOpen"/>, on the same thread.</summary>
    public static ChaCha20Poly1305Context RentOpen() => t_open is not null && t_open.TryPop(out var context) ? context : new ChaCha20Poly1305Context(encrypts: false);

    public static void ReturnSeal(ChaCha20Poly1305Context context) => Return(context, t_seal ??= new(Kept));

    public static void ReturnOpen(ChaCha20Poly1305Context context) => Return(context, t_open ??= new(Kept));

    private static void Return(ChaCha20Poly1305Context context, Stack<ChaCha20Poly1305Context> stack)
    {
        if (stack.Count == Kept)
        {
            context.Dispose();
            return;
        }

        context.ForgetKey();
        stack.Push(context);
    }
}
