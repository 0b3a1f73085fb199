namespace Relay.Protocol.WireGuard;

/// <summary>
/// A token bucket for each source of handshake messages, whitepaper §5.3: an IPv4 address or an IPv6 /64. A table of fixed
/// size, in sets of four; a newcomer takes the place of the one in its set that was unseen for longest, so a flood from many
/// addresses costs no memory. Asked only about sources that have proven their address. Safe for concurrent use.
/// </summary>
internal sealed class HandshakeRateLimiter
{
    private const int Ways = 4;
    private const long Cost = TimeSpan.TicksPerSecond / WireGuardLimits.HandshakesPerSecond;
    private const long Full = Cost * WireGuardLimits.HandshakeBurst;

    private readonly Lock _lock = new();
    private readonly ulong _seed;
    private Bucket[]? _buckets;

    /// <param name="entropy">Makes sets unpredictable, so that nobody can be crowded out on purpose.</param>
    public HandshakeRateLimiter(WireGuardEntropy entropy)
    {
        Span<byte> seed = stackalloc byte[8];
        entropy(seed);
        _seed = BitConverter.ToUInt64(seed) | 1;
    }

    /// <summary>False: the source has used up its share for now.</summary>
    public bool TryTake(in WireGuardEndpoint source, TimeSpan now)
    {
        ulong key = source.RateKey;
        lock (_lock)
        {
            _buckets ??= new Bucket[WireGuardLimits.RateLimitedSources];
            // Multiplication by a secret odd number: the upper bits depend on all of the key.
            const int Sets = WireGuardLimits.RateLimitedSources / Ways;
            int set = (int)(unchecked(key * _seed) >> 40) & (Sets - 1);
            Span<Bucket> ways = _buckets.AsSpan(set * Ways, Ways);
            ref Bucket bucket = ref ways[0];
            foreach (ref Bucket way in ways)
            {
                if (way.Key == key)
                {
                    bucket = ref way;
                    break;
                }

                if (way.Seen < bucket.Seen) bucket = ref way;
            }

            if (bucket.Key != key)
                bucket = new Bucket { Key = key, Seen = now.Ticks, Tokens = Full };
            bucket.Tokens = Math.Min(Full, bucket.Tokens + Math.Max(0, now.Ticks - bucket.Seen));
            bucket.Seen = now.Ticks;
            if (bucket.Tokens < Cost) return false;
            bucket.Tokens -= Cost;
            return true;
        }
    }

    private struct Bucket
    {
        public ulong Key;
        public long Seen;
        public long Tokens;
    }
}
