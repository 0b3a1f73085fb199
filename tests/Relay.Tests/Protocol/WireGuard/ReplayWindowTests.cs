using FsCheck;
using FsCheck.Fluent;
using Relay.Protocol.WireGuard;

namespace Relay.Tests.Protocol.WireGuard;

public sealed class ReplayWindowTests
{
    private const ulong Reject = WireGuardSpec.RejectAfterMessages;

    // The oracle: a set of everything seen, and the greatest.
    [Fact]
    public void Accepts_what_a_set_of_all_counters_would()
    {
        // Steps that stay, go back a little, cross a word, cross the window, and leap.
        var step = Gen.OneOf(
            Gen.Choose(-5, 5).Select(static n => (long)n),
            Gen.Choose(-200, 200).Select(static n => (long)n),
            Gen.Choose(-8300, 8300).Select(static n => (long)n),
            Gen.Elements<long>(-8192L, -8191, -8193, 8192, 8191, 8193, 64, -64, 8256, 1L << 40));
        var start = Gen.Elements<ulong>(0UL, 1, 63, 64, 8191, 8192, 1UL << 32, Reject - 9000);
        var schedule = start.SelectMany(_ => step.ArrayOf(300), static (at, steps) => (at, steps));
        Checked.ForAll(schedule.ToArbitrary(), 300, static s => AgreesWithOracle(s.at, s.steps));
    }

    [Fact]
    public void Window_is_8192_wide_to_the_counter()
    {
        var window = default(ReplayWindow);
        Assert.True(window.TryAccept(100_000));
        Assert.False(window.TryAccept(100_000));
        Assert.False(window.TryAccept(100_000 - 8192));
        for (var counter = 100_000UL - 8191; counter < 100_000; counter++)
        {
            Assert.True(window.TryAccept(counter));
            Assert.False(window.TryAccept(counter));
        }
    }

    [Fact]
    public void Counters_from_Reject_After_Messages_on_are_refused()
    {
        var window = default(ReplayWindow);
        Assert.False(window.TryAccept(Reject));
        Assert.False(window.TryAccept(ulong.MaxValue));
        Assert.True(window.TryAccept(0));
        Assert.True(window.TryAccept(Reject - 1));
        Assert.False(window.TryAccept(Reject - 1));
        Assert.False(window.TryAccept(1));
    }

    private static bool AgreesWithOracle(ulong at, long[] steps)
    {
        var window = default(ReplayWindow);
        var seen = new HashSet<ulong>();
        UInt128 greatest = 0;
        foreach (var step in steps)
        {
            at = unchecked(at + (ulong)step);
            var expected = at < Reject && (UInt128)at + 8192 > greatest && seen.Add(at);
            if (expected && at > greatest)
                greatest = at;
            if (window.TryAccept(at) != expected)
                return false;
        }

        return true;
    }
}
