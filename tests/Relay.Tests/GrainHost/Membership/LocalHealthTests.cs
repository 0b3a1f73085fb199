using Relay.GrainHost.Membership;
using Relay.GrainHost.Turns;
using Relay.TestKit;
using Xunit;

namespace Relay.Tests.GrainHost.Membership;

public sealed class LocalHealthTests
{
    [Fact]
    public void A_starved_process_demands_more_misses_and_a_recovered_one_fewer_again()
    {
        var health = new LocalHealth();
        Assert.Equal(1, health.Multiplier);
        foreach (var expected in new[] { 2, 3, 4, 4 })
        {
            health.Observe(LocalHealth.Late);
            Assert.Equal(expected, health.Multiplier);
        }

        foreach (var expected in new[] { 3, 2, 1, 1 })
        {
            health.Observe(TimeSpan.FromMilliseconds(60));
            Assert.Equal(expected, health.Multiplier);
        }
    }

    [Fact]
    public void The_clock_knows_the_longest_gap_between_its_updates()
    {
        var time = new ManualTimeProvider();
        var clock = new CoarseClock(time);
        foreach (var gap in new[] { 50, 700, 50 })
        {
            time.Advance(TimeSpan.FromMilliseconds(gap));
            clock.Update();
        }

        Assert.Equal(TimeSpan.FromMilliseconds(700), clock.TakeLongestGap());
        time.Advance(TimeSpan.FromMilliseconds(80));
        clock.Update();
        Assert.Equal(TimeSpan.FromMilliseconds(80), clock.TakeLongestGap());
    }
}
