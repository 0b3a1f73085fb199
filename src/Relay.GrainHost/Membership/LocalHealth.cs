namespace Relay.GrainHost.Membership;

/// <summary>
/// How far this silo can trust its own impression of others. A process that gets no processor time hears answers too late and
/// would blame its peers; the slower its own clock ticks, the more misses it demands of itself before it does. Not thread-safe.
/// </summary>
internal sealed class LocalHealth
{
    /// <summary>A tick of 50 ms that comes this late says that the process was starved or stood still.</summary>
    public static readonly TimeSpan Late = TimeSpan.FromMilliseconds(300);

    private const int Worst = 3;

    /// <summary><see cref="Multiplier"/> at worst.</summary>
    public const int MaxMultiplier = 1 + Worst;

    private int _score;

    /// <summary>By how much the number of misses is multiplied: 1 in good health, 4 at worst.</summary>
    public int Multiplier => 1 + _score;

    /// <summary>Takes in one round of probes.</summary>
    /// <param name="longestGap">The longest time between two ticks of this process during the round.</param>
    public void Observe(TimeSpan longestGap) =>
        _score = longestGap >= Late ? Math.Min(Worst, _score + 1) : Math.Max(0, _score - 1);
}
