using Relay.Protocol.Crypto;

namespace Relay.Protocol.WireGuard;

/// <summary>
/// The calling thread's cipher contexts. A thread needs one for what it receives and one for what it sends, or a few while batches are open within
/// each other; they live as long as the thread and hold no key while nobody has them.
/// </summary>
internal static class CipherContexts
{
    // More are made when needed and freed when given back.
    private const int Kept = 4;

    [ThreadStatic]
    private static Stack<ChaCha20Poly1305Context>? t_kept;

    /// <summary>A context; give it back to <see cref="Return"/>, on the same thread.</summary>
    public static ChaCha20Poly1305Context Rent() => t_kept is not null && t_kept.TryPop(out var context) ? context : new ChaCha20Poly1305Context();

    public static void Return(ChaCha20Poly1305Context context)
    {
        t_kept ??= new(Kept);
        if (t_kept.Count == Kept)
        {
            context.Dispose();
            return;
        }

        context.ForgetKey();
        t_kept.Push(context);
    }
}
