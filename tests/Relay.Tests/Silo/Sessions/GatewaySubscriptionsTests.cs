using Relay.Protocol.Grid;
using Relay.Silo.Sessions;
using Relay.TestKit;

namespace Relay.Tests.Silo.Sessions;

/// <summary>Control streams of gateways that fall behind, vanish and come back.</summary>
public sealed class GatewaySubscriptionsTests
{
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(1);
    private readonly ManualTimeProvider _time = new();
    private readonly List<string> _lost = [];
    private readonly GatewaySubscriptions _gateways;

    public GatewaySubscriptionsTests()
    {
        _gateways = new GatewaySubscriptions(_time);
        _gateways.Lost += _lost.Add;
    }

    [Fact]
    public void A_gateway_that_vanishes_is_lost_after_the_grace_and_not_before()
    {
        _gateways.Subscribe("gw-1").Dispose();
        _time.Advance(GatewaySubscriptions.Grace - Tick);
        Assert.Empty(_lost);
        _time.Advance(Tick);
        Assert.Equal(["gw-1"], _lost);
    }

    [Fact]
    public void A_gateway_that_comes_back_in_time_is_not_lost()
    {
        _gateways.Subscribe("gw-1").Dispose();
        _time.Advance(GatewaySubscriptions.Grace - Tick);
        using var again = _gateways.Subscribe("gw-1");
        _time.Advance(GatewaySubscriptions.Grace * 2);
        Assert.Empty(_lost);
    }

    [Fact]
    public void Of_two_streams_the_last_one_counts()
    {
        var first = _gateways.Subscribe("gw-1");
        var second = _gateways.Subscribe("gw-1");
        Assert.False(_gateways.IsOnly(first));
        first.Dispose();
        Assert.True(_gateways.IsOnly(second));
        _time.Advance(GatewaySubscriptions.Grace * 2);
        Assert.Empty(_lost);
        second.Dispose();
        _time.Advance(GatewaySubscriptions.Grace);
        Assert.Equal(["gw-1"], _lost);
    }

    [Fact]
    public void A_gateway_that_acts_without_a_stream_has_the_grace_to_open_one()
    {
        _gateways.Expect("gw-1");
        _gateways.Expect("gw-1");
        _time.Advance(GatewaySubscriptions.Grace);
        Assert.Equal(["gw-1"], _lost);
    }

    [Fact]
    public void A_gateway_that_does_not_read_loses_its_stream_and_the_others_do_not()
    {
        using var slow = _gateways.Subscribe("gw-1");
        using var other = _gateways.Subscribe("gw-2");
        for (var i = 0; i < 1000; i++)
            _gateways.Publish("gw-1", new ControlMessage("end_session", Guid.NewGuid(), null));
        _gateways.Publish("gw-2", new ControlMessage("end_session", Guid.Empty, null));
        var kept = 0;
        while (slow.Messages.TryRead(out _))
            kept++;
        Assert.InRange(kept, 1, 999);
        Assert.True(slow.Messages.Completion.IsCompleted);
        Assert.True(other.Messages.TryRead(out _));
        Assert.False(other.Messages.Completion.IsCompleted);
    }
}
