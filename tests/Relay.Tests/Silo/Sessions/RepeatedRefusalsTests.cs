using Relay.Silo.Sessions;
using Relay.TestKit;

namespace Relay.Tests.Silo.Sessions;

/// <summary>Which refusals are worth a row.</summary>
public sealed class RepeatedRefusalsTests
{
    private readonly ManualTimeProvider _time = new();
    private readonly RepeatedRefusals _refusals;

    public RepeatedRefusalsTests() => _refusals = new RepeatedRefusals(_time);

    [Fact]
    public void The_same_is_new_once_in_the_window_and_then_again()
    {
        var first = Guid.NewGuid();
        Assert.True(_refusals.IsNew("d", ("db", "no_policy", 1), first, out var onRecord));
        Assert.Equal(first, onRecord);
        Assert.False(_refusals.IsNew("d", ("db", "no_policy", 1), Guid.NewGuid(), out onRecord));
        Assert.Equal(first, onRecord);
        Assert.True(_refusals.IsNew("d", ("db", "ip_not_allowed", 1), Guid.NewGuid(), out _));
        Assert.True(_refusals.IsNew("d", ("db", "no_policy", 2), Guid.NewGuid(), out _));
        Assert.True(_refusals.IsNew("e", ("db", "no_policy", 1), Guid.NewGuid(), out _));
        _time.Advance(RepeatedRefusals.Window);
        Assert.True(_refusals.IsNew("d", ("db", "no_policy", 1), Guid.NewGuid(), out _));
    }

    [Fact]
    public void What_is_kept_of_one_device_and_of_all_is_bounded()
    {
        Assert.Equal(RepeatedRefusals.PerDevice, Enumerable.Range(0, 1000).Count(i => _refusals.IsNew("d", ($"s{i}", "", 1), Guid.NewGuid(), out _)));
        // Of too many devices the first are forgotten: that costs a row more, never memory.
        for (var i = 0; i < 5000; i++)
            Assert.True(_refusals.IsNew($"d{i}", ("s", "", 1), Guid.NewGuid(), out _));
        Assert.True(_refusals.IsNew("d", ("s0", "", 1), Guid.NewGuid(), out _));
        Assert.False(_refusals.IsNew("d4999", ("s", "", 1), Guid.NewGuid(), out _));
    }
}
