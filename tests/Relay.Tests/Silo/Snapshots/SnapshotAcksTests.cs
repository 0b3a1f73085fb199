using Microsoft.Extensions.Logging.Abstractions;
using Relay.Silo.Snapshots;
using Relay.Silo.Storage;
using Relay.TestKit;

namespace Relay.Tests.Silo.Snapshots;

/// <summary>What a silo says it runs is so: nothing is acknowledged before it is closed, nothing is forgotten because the store was away.</summary>
public sealed class SnapshotAcksTests
{
    private static readonly Guid Organization = Guid.NewGuid();
    private readonly ManualTimeProvider _time = new();
    private readonly FakeStore _store = new();
    private readonly RevocationMetrics _metrics = new();

    [Fact]
    public async Task A_version_is_acknowledged_when_what_it_took_is_closed_and_not_before()
    {
        using var acks = Create();
        var closing = new TaskCompletionSource();
        acks.Applied(Organization, 1, 2, [closing.Task, Task.CompletedTask]);
        Assert.Empty(_store.Written);
        closing.SetResult();
        await acks.SettledAsync();
        Assert.Equal([(1L, 2L)], _store.Written);
    }

    [Fact]
    public async Task A_later_version_waits_for_what_an_earlier_one_is_still_closing()
    {
        using var acks = Create();
        var slow = new TaskCompletionSource();
        acks.Applied(Organization, 1, 2, [slow.Task]);
        acks.Applied(Organization, 2, 3, []);
        _time.Advance(TimeSpan.FromSeconds(30));
        Assert.Empty(_store.Written);
        slow.SetResult();
        await acks.SettledAsync();
        Assert.Equal([(1L, 2L), (2L, 3L)], _store.Written);
    }

    [Fact]
    public async Task One_organization_does_not_wait_for_another()
    {
        using var acks = Create();
        acks.Applied(Organization, 1, 2, [new TaskCompletionSource().Task]);
        acks.Applied(Guid.NewGuid(), 6, 7, []);
        Assert.Equal([(6L, 7L)], _store.Written);
        await acks.StopAsync(TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task What_the_store_could_not_take_is_said_when_it_is_back_and_the_time_since_the_closing_does_not_count()
    {
        using var acks = Create();
        _store.Away = true;
        var committed = _time.GetUtcNow() - TimeSpan.FromMilliseconds(40);
        _store.Age = () => _time.GetUtcNow() - committed;
        acks.Applied(Organization, 1, 2, [Task.CompletedTask]);
        Assert.Empty(_store.Written);
        _time.Advance(TimeSpan.FromMinutes(1));
        Assert.Empty(_store.Written);
        _store.Away = false;
        _time.Advance(TimeSpan.FromMinutes(1));
        await acks.SettledAsync();
        Assert.Equal([(1L, 2L)], _store.Written);
        var text = new System.Text.StringBuilder();
        _metrics.Revocation.Render(text);
        Assert.Contains("relay_revocation_seconds_bucket{le=\"0.025\"} 0\n", text.ToString(), StringComparison.Ordinal);
        Assert.Contains("relay_revocation_seconds_bucket{le=\"0.05\"} 1\n", text.ToString(), StringComparison.Ordinal);
        Assert.Contains("relay_revocation_seconds_sum 0.04\n", text.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_first_version_a_silo_loads_is_no_revocation()
    {
        using var acks = Create();
        _store.Age = () => TimeSpan.FromHours(1);
        acks.Applied(Organization, null, 9, []);
        await acks.SettledAsync();
        Assert.Equal([(9L, 9L)], _store.Written);
        Assert.Equal((0, 0), (_metrics.InForce.Count, _metrics.Revocation.Count));
    }

    private SnapshotAcks Create() => new(_store, _metrics, _time, NullLogger<SnapshotAcks>.Instance);

    private sealed class FakeStore : ISnapshotAckStore
    {
        public List<(long Since, long Version)> Written { get; } = [];

        public bool Away { get; set; }

        public Func<TimeSpan?> Age { get; set; } = () => null;

        public Task SweepAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task<TimeSpan?> WriteAsync(Guid organizationId, long since, long version, CancellationToken cancellationToken)
        {
            if (Away)
                return Task.FromException<TimeSpan?>(new StoreUnavailableException());
            Written.Add((since, version));
            return Task.FromResult(Age());
        }
    }
}
