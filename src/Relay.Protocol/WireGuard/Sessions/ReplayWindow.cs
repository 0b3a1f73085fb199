using System.Runtime.CompilerServices;

namespace Relay.Protocol.WireGuard;

/// <summary>
/// Which counters have been seen, whitepaper §5.4.6 and RFC 6479: the greatest one and, exactly, the 8191 before it. A ring
/// of words is cleared as the greatest counter moves on, nothing is shifted. Not thread-safe. A mutable struct: keep it in a field.
/// </summary>
internal struct ReplayWindow
{
    private const int WordBits = 64;

    // One word more than the window: the word that the greatest counter is in is only partly behind it.
    private const int Words = (WireGuardLimits.ReplayWindow / WordBits) + 1;

    private ulong _next;
    private Ring _ring;

    /// <summary>True, once, for each counter that is new and not too old; a counter is to be shown here only when its packet is authentic.</summary>
    public bool TryAccept(ulong counter)
    {
        // _next is the greatest counter plus one, so that 0 is new at first.
        if (counter >= WireGuardSpec.RejectAfterMessages) return false;
        unchecked
        {
            ulong word = counter / WordBits;
            if (counter >= _next)
            {
                ulong last = _next == 0 ? 0 : (_next - 1) / WordBits;
                ulong fresh = Math.Min(word - last, Words);
                for (ulong i = 1; i <= fresh; i++) _ring[(int)((last + i) % Words)] = 0;
                _next = counter + 1;
            }
            else if (_next - counter > WireGuardLimits.ReplayWindow)
            {
                return false;
            }

            ref ulong bits = ref _ring[(int)(word % Words)];
            ulong bit = 1UL << (int)(counter % WordBits);
            bool isNew = (bits & bit) == 0;
            bits |= bit;
            return isNew;
        }
    }

    [InlineArray(Words)]
    private struct Ring
    {
        private ulong _first;
    }
}
