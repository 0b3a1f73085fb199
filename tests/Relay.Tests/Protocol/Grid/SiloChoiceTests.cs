using Relay.Protocol.Grid;
using Relay.TestKit;

namespace Relay.Tests.Protocol.Grid;

/// <summary>Which silo a gateway or connector uses, case by case; <see cref="SiloChoiceScheduleTests"/> has the schedules.</summary>
public sealed class SiloChoiceTests
{
    private const string A = "10.0.0.1:7443";
    private const string B = "10.0.0.2:7443";
    private const string C = "10.0.0.3:7443";

    private readonly ManualTimeProvider _time = new();

    [Fact]
    public void Nothing_is_known_at_first()
    {
        Assert.Null(Choice().Current);
        Assert.Empty(Choice().Ranked());
    }

    [Fact]
    public void A_seed_is_used_until_the_grid_says_otherwise()
    {
        var choice = Choice();
        choice.Seed([A]);
        Assert.Equal(A, choice.Current);
        Announce(choice, 1, Active(B));
        Assert.Equal(B, choice.Current);
        Assert.Contains(A, choice.Addresses);
    }

    [Fact]
    public void Better_by_the_margin_for_several_measurements_moves_and_nothing_less()
    {
        var choice = Settled(10, 10);
        for (var i = 0; i < 100; i++)
            Measure(choice, 10, 8);
        Assert.Equal(A, choice.Current);

        // The middle of five turns at the third, and then it must win five times.
        for (var i = 0; i < 6; i++)
            Measure(choice, 10, 7);
        Assert.Equal(A, choice.Current);
        Measure(choice, 10, 7);
        Assert.Equal(B, choice.Current);
    }

    [Fact]
    public void What_is_near_enough_is_equally_near()
    {
        var choice = Settled(1.9, 1.9);
        for (var i = 0; i < 100; i++)
            Measure(choice, 1.9, 0.05);
        Assert.Equal(A, choice.Current);
    }

    [Fact]
    public void A_single_slow_answer_moves_nobody()
    {
        var choice = Settled(10, 12);
        for (var i = 0; i < 100; i++)
            Measure(choice, i % 5 == 0 ? 500 : 10, 12);
        Assert.Equal(A, choice.Current);
    }

    [Fact]
    public void The_own_region_wins_a_tie_and_is_left_only_for_twice_the_margin()
    {
        var choice = Choice("north");
        Announce(choice, 1, Active(A, "south"), Active(B, "north"));
        choice.Settle(A);
        for (var i = 0; i < 10; i++)
            Measure(choice, 10, 12);
        Assert.Equal(B, choice.Current);
        for (var i = 0; i < 50; i++)
            Measure(choice, 8, 12);
        Assert.Equal(B, choice.Current);
        for (var i = 0; i < 50; i++)
            Measure(choice, 5, 12);
        Assert.Equal(A, choice.Current);

        // The boundary where it left is not where it comes back.
        for (var i = 0; i < 50; i++)
            Measure(choice, 6, 12);
        Assert.Equal(A, choice.Current);
    }

    [Fact]
    public void A_silo_that_fails_is_left_at_once_for_the_nearest_other()
    {
        var choice = Choice();
        Announce(choice, 1, Active(A), Active(B), Active(C));
        choice.Measured(A, Ms(1));
        choice.Measured(B, Ms(30));
        choice.Measured(C, Ms(20));
        choice.Failed(A);
        Assert.Equal(C, choice.Current);
        Assert.Equal([C, B, A], choice.Ranked());
    }

    [Fact]
    public void It_returns_when_the_better_one_has_been_back_for_a_while()
    {
        var choice = Settled(1, 30);
        choice.Failed(A);
        Assert.Equal(B, choice.Current);
        Announce(choice, 2, Active(A, age: 0), Active(B));
        for (var i = 0; i < 8; i++)
            Measure(choice, 1, 30);
        Assert.Equal(B, choice.Current);
        _time.Advance(TimeSpan.FromSeconds(10));
        Measure(choice, 1, 30);
        Assert.Equal(A, choice.Current);
    }

    [Theory]
    [InlineData("draining")]
    [InlineData("a state of a later version")]
    [InlineData("")]
    public void One_that_does_not_say_active_is_left_at_once(string state)
    {
        var choice = Settled(1, 300);
        Announce(choice, 2, Active(A) with { State = state }, Active(B));
        Assert.Equal(B, choice.Current);
        for (var i = 0; i < 50; i++)
            Measure(choice, 1, 300);
        Assert.Equal(B, choice.Current);
        Assert.False(choice.IsFit(A));
    }

    [Fact]
    public void One_that_is_not_announced_any_more_is_left_and_forgotten()
    {
        var choice = Settled(1, 300);
        Announce(choice, 2, Active(B));
        Assert.Equal(B, choice.Current);
        Announce(choice, 3, Active(B));
        Assert.Equal([B], choice.Addresses);
    }

    [Fact]
    public void The_last_one_is_kept_whatever_is_said_of_it()
    {
        var choice = Choice();
        Announce(choice, 1, Active(A));
        Announce(choice, 2);
        Assert.Equal(A, choice.Current);
        choice.Failed(A);
        Assert.Equal(A, choice.Current);
    }

    [Fact]
    public void An_older_announcement_is_not_believed_until_nothing_newer_is_heard_for_a_minute()
    {
        var choice = Choice();
        Announce(choice, 7, Active(A));
        Assert.False(Announce(choice, 6, Active(B)));
        Assert.Equal([A], choice.Addresses);
        _time.Advance(TimeSpan.FromMinutes(1));
        Assert.True(Announce(choice, 3, Active(B)));
        Assert.Equal(B, choice.Current);
    }

    [Fact]
    public void An_announcement_is_bounded_and_what_is_no_address_is_skipped()
    {
        var choice = Choice();
        Announce(choice, 1, [Active("no address"), Active(A) with { Address = null! }, .. Enumerable.Range(1, 100).Select(i => Active($"10.0.1.{i}:1"))]);
        Assert.Equal(SiloChoice.MaxSilos - 2, choice.Addresses.Count);
        Assert.True(choice.Announce(new SiloAnnouncements(2, null!)));
    }

    [Fact]
    public void Waits_between_measurements_are_jittered()
    {
        var choice = new SiloChoice(new SiloChoiceOptions { Interval = TimeSpan.FromSeconds(4) }, _time, new Random(1));
        var waits = Enumerable.Range(0, 1000).Select(_ => choice.NextMeasurement().TotalSeconds).ToArray();
        Assert.All(waits, w => Assert.InRange(w, 3, 5));
        Assert.True(waits.Distinct().Count() > 900);
        Assert.InRange(waits.Average(), 3.9, 4.1);
    }

    private static SiloAnnouncement Active(string address, string region = "", long age = 3600) => new(address, address, region, SiloAnnouncement.Active, age);

    private static TimeSpan Ms(double milliseconds) => TimeSpan.FromMilliseconds(milliseconds);

    private static bool Announce(SiloChoice choice, long version, params SiloAnnouncement[] silos) => choice.Announce(new SiloAnnouncements(version, silos));

    private static void Measure(SiloChoice choice, double a, double b)
    {
        choice.Measured(A, Ms(a));
        choice.Measured(B, Ms(b));
    }

    private SiloChoice Choice(string region = "") => new(new SiloChoiceOptions { Region = region }, _time, new Random(1));

    /// <summary>A and B, both measured for a while, A in use.</summary>
    private SiloChoice Settled(double a, double b)
    {
        var choice = Choice();
        Announce(choice, 1, Active(A), Active(B));
        choice.Settle(A);
        for (var i = 0; i < 5; i++)
            Measure(choice, a, b);
        Assert.Equal(A, choice.Current);
        return choice;
    }
}
