using System.Net;
using Relay.Gateway.Ssh;

namespace Relay.Tests.Gateway.Ssh;

public sealed class StartupBudgetTests
{
    [Fact]
    public void The_oldest_of_an_address_makes_room_and_other_addresses_are_not_touched()
    {
        var budget = new StartupBudget(perAddress: 2, total: 100);
        var evicted = new List<string>();
        budget.Enter(IPAddress.Parse("10.0.0.1"), () => evicted.Add("other"));
        var first = budget.Enter(IPAddress.Parse("10.0.0.2"), () => evicted.Add("first"));
        budget.Enter(IPAddress.Parse("10.0.0.2"), () => evicted.Add("second"));
        budget.Enter(IPAddress.Parse("10.0.0.2"), () => evicted.Add("third"));
        Assert.Equal(["first"], evicted);
        Assert.Equal(3, budget.Count);
        first.Dispose();
        Assert.Equal(3, budget.Count);
    }

    [Fact]
    public void Devices_have_places_of_their_own_whatever_address_they_share()
    {
        var budget = new StartupBudget(perAddress: 2, total: 100);
        var evicted = new List<string>();
        var (one, other) = (Guid.NewGuid(), Guid.NewGuid());
        budget.Enter(one, () => evicted.Add("one's first"));
        budget.Enter(other, () => evicted.Add("other"));
        budget.Enter(one, () => evicted.Add("one's second"));
        budget.Enter(IPAddress.None, () => evicted.Add("nobody's"));
        Assert.Empty(evicted);
        var third = budget.Enter(one, () => evicted.Add("one's third"));
        Assert.Equal(["one's first"], evicted);
        third.Dispose();
        budget.Enter(one, () => evicted.Add("one's fourth"));
        Assert.Single(evicted);
        Assert.Equal(4, budget.Count);
    }

    [Fact]
    public void The_oldest_of_all_makes_room_when_everything_is_taken()
    {
        var budget = new StartupBudget(perAddress: 10, total: 3);
        var evicted = new List<int>();
        for (var i = 0; i < 5; i++)
        {
            var number = i;
            budget.Enter(new IPAddress([10, 0, 0, (byte)i]), () => evicted.Add(number));
        }

        Assert.Equal([0, 1], evicted);
        Assert.Equal(3, budget.Count);
    }

    [Fact]
    public void A_place_that_is_given_back_is_free()
    {
        var budget = new StartupBudget(perAddress: 1, total: 1);
        var evictions = 0;
        for (var i = 0; i < 1000; i++)
        {
            using var place = budget.Enter(IPAddress.Loopback, () => evictions++);
        }

        Assert.Equal((0, 0), (evictions, budget.Count));
    }

    [Fact]
    public void One_ipv6_network_is_one_address()
    {
        var budget = new StartupBudget(perAddress: 1, total: 100);
        var evicted = 0;
        budget.Enter(IPAddress.Parse("2001:db8::1"), () => evicted++);
        budget.Enter(IPAddress.Parse("2001:db8::ffff:2"), () => evicted++);
        budget.Enter(IPAddress.Parse("2001:db8:1::1"), () => evicted++);
        Assert.Equal(1, evicted);
    }
}
