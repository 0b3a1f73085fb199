using Relay.Connector.Tunnel;

namespace Relay.Tests.Connector;

public sealed class BackoffTests
{
    [Fact]
    public void Waits_are_spread_over_a_bound_that_doubles_up_to_the_longest()
    {
        var bounds = new double[12];
        for (var run = 0; run < 300; run++)
        {
            var backoff = new Backoff(TimeSpan.FromSeconds(30));
            for (var i = 0; i < bounds.Length; i++)
            {
                var wait = backoff.Next();
                Assert.InRange(wait, TimeSpan.Zero, TimeSpan.FromSeconds(30));
                Assert.True(wait <= TimeSpan.FromMilliseconds(250) * Math.Pow(2, i));
                bounds[i] = Math.Max(bounds[i], wait.TotalMilliseconds);
            }
        }

        // Full jitter reaches the upper half of its bound, also of the last one.
        Assert.True(bounds[0] > 125, $"{bounds[0]}");
        Assert.True(bounds[^1] > 15_000, $"{bounds[^1]}");
    }

    [Fact]
    public void After_a_success_it_begins_small_again()
    {
        var backoff = new Backoff(TimeSpan.FromSeconds(30));
        for (var i = 0; i < 10; i++)
            backoff.Next();
        backoff.Reset();
        Assert.True(backoff.Next() <= TimeSpan.FromMilliseconds(250));
    }
}
