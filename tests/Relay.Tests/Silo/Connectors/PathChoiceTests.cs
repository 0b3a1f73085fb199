using FsCheck;
using FsCheck.Fluent;
using Relay.Protocol.Tunnel;
using Relay.Silo.Connectors;
using Relay.TestKit;

namespace Relay.Tests.Silo.Connectors;

/// <summary>Pool choice: health first, then the fewest sessions; what failed once is out until it has worked again.</summary>
public sealed class PathChoiceTests
{
    private static readonly StreamTarget One = StreamTarget.Tcp("10.0.0.1", 22);
    private static readonly StreamTarget Two = StreamTarget.Tcp("10.0.0.2", 22);

    [Fact]
    public void Nothing_unhealthy_comes_before_anything_healthy_and_of_these_the_fewest_sessions_come_first() =>
        Checked.Holds(Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            var random = new Random(seed);
            var paths = Enumerable.Range(0, random.Next(12)).Select(_ => new PathLoad(random.Next(3) > 0, random.Next(4), random.Next(4), random.Next(2) == 0)).ToArray();
            var order = PathChoice.Order(paths, p => p);
            Assert.Equal(paths.Length, order.Count);
            Assert.All(paths, p => Assert.Equal(paths.Count(x => x == p), order.Count(x => x == p)));
            for (var i = 1; i < order.Count; i++)
            {
                var (better, worse) = (order[i - 1], order[i]);
                Assert.True(better.Healthy || !worse.Healthy);
                if (better.Healthy != worse.Healthy)
                    continue;
                Assert.True(better.HostStreams <= worse.HostStreams);
                if (better.HostStreams == worse.HostStreams)
                    Assert.True(better.ConnectorStreams <= worse.ConnectorStreams);
            }
        }), 500);

    [Fact]
    public void Sessions_that_stay_are_spread_evenly_over_the_healthy_members() =>
        Checked.Holds(Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            var random = new Random(seed);
            var isUp = Enumerable.Range(0, random.Next(1, 9)).Select(_ => random.Next(3) > 0).ToArray();
            var load = new int[isUp.Length];
            for (var i = random.Next(200); i > 0; i--)
                load[PathChoice.Order(Enumerable.Range(0, load.Length), h => new PathLoad(isUp[h], load[h], 0, true))[0]]++;
            var up = Enumerable.Range(0, load.Length).Where(h => isUp[h]).ToArray();
            if (up.Length == 0)
                return;
            Assert.True(up.Max(h => load[h]) - up.Min(h => load[h]) <= 1);
            Assert.All(Enumerable.Range(0, load.Length).Except(up), h => Assert.Equal(0, load[h]));
        }), 200);

    [Fact]
    public void A_target_is_out_after_one_failure_and_in_after_one_success()
    {
        var health = new PathHealth(new ManualTimeProvider());
        var connector = Guid.NewGuid();
        var learnt = 0;
        health.Learnt += () => learnt++;
        health.Failed(connector, One, new StreamOpenException(StreamOpenError.Refused, "nothing listens there"));
        Assert.False(health.IsHealthy(connector, One));
        Assert.True(health.IsHealthy(connector, Two));
        Assert.True(health.IsHealthy(Guid.NewGuid(), One));
        health.Failed(connector, One, new StreamOpenException(StreamOpenError.Refused, "nothing listens there"));
        health.Succeeded(connector, One);
        Assert.True(health.IsHealthy(connector, One));
        Assert.Equal(2, learnt);
    }

    [Fact]
    public void A_connector_that_hangs_comes_last_for_a_while()
    {
        var time = new ManualTimeProvider();
        var health = new PathHealth(time);
        var connector = Guid.NewGuid();
        health.Failed(connector, One, new StreamOpenException(StreamOpenError.NotAttached, "gone"));
        Assert.False(health.IsHealthy(connector, One));
        Assert.False(health.IsHealthy(connector, Two));
        time.Advance(PathHealth.SuspectFor);
        Assert.True(health.IsHealthy(connector, One));
    }

    [Fact]
    public void What_another_silo_has_learnt_counts_here_and_what_was_learnt_here_is_not_forgotten_before_it_is_shared()
    {
        var health = new PathHealth(new ManualTimeProvider());
        var connector = Guid.NewGuid();
        health.Share([new FailingTarget(connector, Two.Address, "refused")], health.Pending());
        Assert.False(health.IsHealthy(connector, Two));
        health.Succeeded(connector, Two);
        health.Failed(connector, One, new StreamOpenException(StreamOpenError.Unreachable, "no route"));

        // Read before these two were written: they stay.
        health.Share([new FailingTarget(connector, Two.Address, "refused")], new Dictionary<(Guid, string), FailingTarget?>());
        Assert.True(health.IsHealthy(connector, Two));
        Assert.Equal("no route", health.Find(connector, One.Address)!.Reason);
        var told = health.Pending();
        Assert.Equal(2, told.Count);
        health.Share([new FailingTarget(connector, One.Address, "no route")], told);
        Assert.Empty(health.Pending());
        Assert.Equal([One.Address], health.Failing(connector).Select(f => f.Target));
    }
}
