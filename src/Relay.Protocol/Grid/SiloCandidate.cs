namespace Relay.Protocol.Grid;

/// <summary>What <see cref="SiloChoice"/> knows of one silo. Guarded by its owner's lock.</summary>
internal sealed class SiloCandidate(string address)
{
    private const int Kept = 5;
    private readonly TimeSpan[] _samples = new TimeSpan[Kept];
    private int _count;
    private int _next;

    public string Address { get; } = address;

    public string Region { get; set; } = "";

    /// <summary>Configured: never forgotten.</summary>
    public bool IsSeed { get; set; }

    public SiloStanding Standing { get; set; }

    /// <summary>It did not answer, and has not since.</summary>
    public bool Failed { get; private set; }

    /// <summary>Monotonic timestamp of its start; long.MinValue: unknown, so long ago.</summary>
    public long StartedAt { get; set; } = long.MinValue;

    /// <summary>Measurements in a row that found it better than the present one.</summary>
    public int Wins { get; set; }

    public bool IsMeasured => _count > 0;

    /// <summary>
    /// The middle one of the last five: one slow answer moves nobody. MaxValue when nothing was measured.
    /// </summary>
    public TimeSpan RoundTrip { get; private set; } = TimeSpan.MaxValue;

    public void Measured(TimeSpan roundTrip)
    {
        Failed = false;
        _samples[_next] = roundTrip;
        _next = (_next + 1) % Kept;
        _count = Math.Min(_count + 1, Kept);
        Span<TimeSpan> sorted = stackalloc TimeSpan[Kept];
        _samples.AsSpan(0, _count).CopyTo(sorted);
        sorted = sorted[.._count];
        sorted.Sort();
        RoundTrip = sorted[(_count - 1) / 2];
    }

    /// <summary>What was measured before it failed says nothing of what comes back.</summary>
    public void Fail()
    {
        Failed = true;
        _count = _next = 0;
        RoundTrip = TimeSpan.MaxValue;
        Wins = 0;
    }
}

/// <summary>What the grid says of a silo, best first.</summary>
internal enum SiloStanding
{
    /// <summary>Announced as active, or configured while nothing was announced yet.</summary>
    Active = 0,

    /// <summary>Draining, not announced (any more), or in a state this version does not know.</summary>
    Leaving,
}
