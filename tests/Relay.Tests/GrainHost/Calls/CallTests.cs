using Orleans;
using Orleans.Runtime;
using Relay.GrainHost.Calls;
using Relay.Tests.GrainHost.Cluster;
using Xunit;

namespace Relay.Tests.GrainHost.Calls;

/// <summary>Each case within one silo, and from one silo to another.</summary>
public sealed class CallTests
{
    private static readonly string[] s_silos = ["one", "two"];

    public static TheoryData<bool> Both => [false, true];

    [Theory]
    [MemberData(nameof(Both))]
    public async Task Arguments_and_results_arrive(bool across)
    {
        await using var cluster = new TestCluster();
        var (grain, _, _) = await GrainAsync(cluster, across);
        var id = Guid.NewGuid();
        var at = new DateTimeOffset(2026, 2, 3, 4, 5, 6, 789, TimeSpan.FromHours(-7));
        Assert.Equal(["héllo", $"{id}", $"{at:O}", "-5", "Friday", "x", "y"], await grain.EchoAsync("héllo", id, at, -5, DayOfWeek.Friday, ["x", "y"]));
        Assert.Equal(["null", $"{id}", $"{at:O}", "", "Sunday", "default"], await grain.EchoAsync(null, id, at, null, DayOfWeek.Sunday, default));
        Assert.Null(await grain.NothingAsync());
        var data = Enumerable.Range(0, 100_000).Select(i => (byte)i).ToArray();
        Assert.Equal(data, await grain.EchoBytesAsync(data));
    }

    [Theory]
    [MemberData(nameof(Both))]
    public async Task What_can_change_is_copied_on_the_way_in_and_out(bool across)
    {
        await using var cluster = new TestCluster();
        var (grain, _, _) = await GrainAsync(cluster, across);
        var list = new List<int> { 1 };
        var echo = await grain.EchoListAsync(list);
        Assert.Equal([1], list);
        Assert.Equal([1, 99], echo);
    }

    [Fact]
    public async Task What_is_marked_immutable_is_not_copied_within_a_silo()
    {
        await using var cluster = new TestCluster();
        var (grain, _, _) = await GrainAsync(cluster, across: false);
        var list = new List<int> { 1 };
        await grain.KeepAsync(list);
        Assert.Equal([1, 99], list);
    }

    [Theory]
    [MemberData(nameof(Both))]
    public async Task Exceptions_of_known_kinds_arrive_as_themselves(bool across)
    {
        await using var cluster = new TestCluster();
        var (grain, _, _) = await GrainAsync(cluster, across);
        foreach (var type in new[]
        {
            typeof(InvalidOperationException), typeof(ArgumentException), typeof(TimeoutException), typeof(KeyNotFoundException), typeof(NotSupportedException),
            typeof(UnauthorizedAccessException), typeof(OrleansException), typeof(LimitExceededException), typeof(SiloUnavailableException),
        })
        {
            var failure = await Assert.ThrowsAsync(type, () => grain.FailAsync(type.AssemblyQualifiedName!, "told so"));
            Assert.Equal("told so", failure.Message);
        }
    }

    [Fact]
    public async Task Exceptions_of_other_kinds_arrive_from_another_silo_as_name_and_message_only()
    {
        await using var cluster = new TestCluster();
        var (grain, _, _) = await GrainAsync(cluster, across: true);
        var failure = await Assert.ThrowsAsync<GrainCallException>(() => grain.FailAsync(typeof(FileNotFoundException).AssemblyQualifiedName!, "told so"));
        Assert.Equal("System.IO.FileNotFoundException", failure.RemoteType);
        Assert.Equal("System.IO.FileNotFoundException: told so", failure.Message);
    }

    [Theory]
    [MemberData(nameof(Both))]
    public async Task A_one_way_call_returns_without_waiting_and_hears_of_no_failure(bool across)
    {
        await using var cluster = new TestCluster();
        var (grain, target, key) = await GrainAsync(cluster, across);
        await grain.SendAsync("sent");
        await Eventually.TrueAsync(() => target.Journal.Lines.Contains($"{key}: sent"), "the call was executed");
    }

    [Theory]
    [MemberData(nameof(Both))]
    public async Task Observers_are_called_back_wherever_the_grain_is(bool across)
    {
        await using var cluster = new TestCluster();
        var (grain, _, _) = await GrainAsync(cluster, across);
        var observer = new Listener();
        var grains = cluster.Silos.Single(s => s.Name == "one").Grains;
        var reference = grains.CreateObjectReference<ILifeObserver>(observer);
        Assert.True(await grain.NotifyAsync(reference, "news"));
        await Eventually.TrueAsync(() => observer.Heard.Count == 2, "both calls arrived");
        Assert.Equal(["event news", "something news"], observer.Heard.Order());
        grains.DeleteObjectReference<ILifeObserver>(reference);
        await Assert.ThrowsAsync<OrleansMessageRejectionException>(() => grain.NotifyAsync(reference, "more"));
        GC.KeepAlive(observer);
    }

    [Theory]
    [MemberData(nameof(Both))]
    public async Task An_object_that_is_no_reference_is_refused(bool across)
    {
        await using var cluster = new TestCluster();
        var (grain, _, _) = await GrainAsync(cluster, across);
        await Assert.ThrowsAsync<ArgumentException>(() => grain.NotifyAsync(new Listener(), "news"));
    }

    [Theory]
    [MemberData(nameof(Both))]
    public async Task References_travel(bool across)
    {
        await using var cluster = new TestCluster();
        var (grain, _, _) = await GrainAsync(cluster, across);
        var other = cluster.Silos.First().Grains.GetGrain<ILifeGrain>("other");
        Assert.Equal(1, await grain.AskAsync(other));
        Assert.Equal(2, await other.CountAsync());
    }

    [Fact]
    public async Task References_to_one_grain_are_equal_and_know_its_key()
    {
        await using var cluster = new TestCluster();
        var silo = await cluster.StartAsync();
        var one = silo.Grains.GetGrain<ILifeGrain>("a");
        Assert.Equal(one, silo.Grains.GetGrain<ILifeGrain>("a"));
        Assert.NotEqual(one, silo.Grains.GetGrain<ILifeGrain>("b"));
        Assert.Equal("a", one.GetPrimaryKeyString());
        Assert.Equal("life/a", one.GetGrainId().ToString());
        Assert.Throws<ArgumentException>(() => silo.Grains.GetGrain<ILifeGrain>(""));
        Assert.Throws<ArgumentException>(() => silo.Grains.GetGrain<ILifeGrain>(new string('x', 513)));
    }

    [Fact]
    public async Task A_message_above_the_limit_is_refused_and_the_link_stays()
    {
        await using var cluster = new TestCluster { Configure = o => o.MaxFrameBytes = 64 * 1024 };
        var (grain, _, _) = await GrainAsync(cluster, across: true);
        await Assert.ThrowsAsync<LimitExceededException>(() => grain.EchoBytesAsync(new byte[70_000]));
        Assert.Equal(1, await grain.CountAsync());
    }

    [Fact]
    public async Task A_thousand_callers_at_once_each_get_their_own_answer()
    {
        await using var cluster = new TestCluster();
        var silos = await cluster.StartAsync(s_silos);
        var keys = Placing.KeysOn(silos[1], silos[0]).Take(1000).ToArray();
        var answers = await Task.WhenAll(keys.Select(async key =>
        {
            var text = await silos[0].Grains.GetGrain<ILifeGrain>(key).EchoAsync(key, Guid.Empty, default, 1, DayOfWeek.Monday, []);
            return text[0];
        }));
        Assert.Equal(keys, answers);
    }

    private static async Task<(ILifeGrain Grain, TestSilo Target, string Key)> GrainAsync(TestCluster cluster, bool across)
    {
        var silos = await cluster.StartAsync(s_silos);
        var target = silos[across ? 1 : 0];
        var key = Placing.KeyOn(target, silos[0]);
        return (silos[0].Grains.GetGrain<ILifeGrain>(key), target, key);
    }

    private sealed class Listener : ILifeObserver
    {
        public System.Collections.Concurrent.ConcurrentQueue<string> Heard { get; } = new();

        public Task<bool> OnEventAsync(string text)
        {
            Heard.Enqueue($"event {text}");
            return Task.FromResult(true);
        }

        public void OnSomething(string text) => Heard.Enqueue($"something {text}");
    }
}
