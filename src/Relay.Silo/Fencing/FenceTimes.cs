namespace Relay.Silo.Fencing;

/// <summary>
/// The two periods that must not overlap, and what they are made of. With clocks that differ by at most <see cref="MaxDrift"/>, an
/// isolated silo takes no stream after <see cref="HoldFor"/> and has reset those it had within <see cref="HoldFor"/> + 2 s of its own
/// clock; nobody else is admitted before <see cref="FencePeriod"/> of another's clock has passed since the last sign that could have
/// kept it going: 10 s × 1.001 &lt; 12 s × 0.999. Tunnel/PROTOCOL.md, section 5, has the argument.
/// </summary>
internal sealed record FenceTimes
{
    public static readonly FenceTimes Default = new();

    /// <summary>How far two clocks may go apart: 1 ms in a second, twice what the kernel lets NTP slew.</summary>
    public const double MaxDrift = 0.001;

    /// <summary>How often silos give each other a sign of life, and ask the store whether they are fenced.</summary>
    public TimeSpan Heartbeat { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>A peer heard no longer ago than this is reachable, for <see cref="Grid.GridHealth"/>; no lease stands on it.</summary>
    public TimeSpan HeardFor { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>A silo that has heard neither the store nor a majority for this long takes no streams and closes its tunnels.</summary>
    public TimeSpan HoldFor { get; init; } = TimeSpan.FromSeconds(8);

    /// <summary>How long after a silo's fencing is known everywhere it matters another agent instance may be admitted.</summary>
    public TimeSpan FencePeriod { get; init; } = TimeSpan.FromSeconds(12);
}
