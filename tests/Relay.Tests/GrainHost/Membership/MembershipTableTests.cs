using Relay.GrainHost.Membership;
using Relay.Silo.GrainHosting;
using Relay.Silo.Storage;
using Relay.TestKit;
using Relay.Tests.GrainHost.Cluster;
using Xunit;

namespace Relay.Tests.GrainHost.Membership;

/// <summary>The table in a real PostgreSQL keeps the same promises as the one in memory.</summary>
public sealed class MembershipTableTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public static TheoryData<bool> Both => [false, true];

    [Theory]
    [MemberData(nameof(Both))]
    public async Task A_row_comes_back_as_it_was_written(bool postgres)
    {
        await using var setting = await Setting.CreateAsync(postgres);
        Assert.Equal(0, (await setting.Table.ReadAsync(Cancel)).Version);
        var member = Member("a:1") with { Name = "a", Region = "eu", ConnectorAddress = "a:2", Version = "1.2" };
        Assert.True(await setting.Table.TryInsertAsync(member, 0, Cancel));
        var snapshot = await setting.Table.ReadAsync(Cancel);
        var row = Assert.Single(snapshot.Members);
        Assert.Equal(1, snapshot.Version);
        Assert.Equal(member with { StartedAt = row.StartedAt, AliveAt = row.AliveAt }, row);
        Assert.InRange(snapshot.ReadAt - row.StartedAt, TimeSpan.Zero, TimeSpan.FromMinutes(1));
    }

    [Theory]
    [MemberData(nameof(Both))]
    public async Task A_write_on_an_old_version_changes_nothing(bool postgres)
    {
        await using var setting = await Setting.CreateAsync(postgres);
        var (a, b) = (Member("a:1"), Member("b:1"));
        Assert.True(await setting.Table.TryInsertAsync(a, 0, Cancel));
        Assert.False(await setting.Table.TryInsertAsync(b, 0, Cancel));
        Assert.False(await setting.Table.TrySetStatusAsync(a.Address, a.Incarnation, MemberStatus.Dead, 0, Cancel));
        Assert.False(await setting.Table.TrySetStatusAsync(a.Address, Guid.NewGuid(), MemberStatus.Dead, 1, Cancel));
        Assert.False(await setting.Table.TryInsertAsync(a, 1, Cancel));
        var snapshot = await setting.Table.ReadAsync(Cancel);
        Assert.Equal((1, MemberStatus.Joining), (snapshot.Version, Assert.Single(snapshot.Members).Status));
        foreach (var (status, version) in new[] { (MemberStatus.Active, 1), (MemberStatus.ShuttingDown, 2), (MemberStatus.Dead, 3) })
        {
            Assert.True(await setting.Table.TrySetStatusAsync(a.Address, a.Incarnation, status, version, Cancel));
            Assert.Equal(status, Assert.Single((await setting.Table.ReadAsync(Cancel)).Members).Status);
        }
    }

    [Theory]
    [MemberData(nameof(Both))]
    public async Task A_new_start_at_the_same_address_buries_the_old_one(bool postgres)
    {
        await using var setting = await Setting.CreateAsync(postgres);
        var (old, other, again) = (Member("a:1"), Member("b:1"), Member("a:1"));
        Assert.True(await setting.Table.TryInsertAsync(old, 0, Cancel));
        Assert.True(await setting.Table.TryInsertAsync(other, 1, Cancel));
        Assert.True(await setting.Table.TryInsertAsync(again, 2, Cancel));
        var members = (await setting.Table.ReadAsync(Cancel)).Members.ToDictionary(m => m.Incarnation, m => m.Status);
        Assert.Equal((MemberStatus.Dead, MemberStatus.Joining, MemberStatus.Joining), (members[old.Incarnation], members[other.Incarnation], members[again.Incarnation]));
    }

    [Theory]
    [MemberData(nameof(Both))]
    public async Task A_sign_of_life_moves_the_time_and_not_the_version(bool postgres)
    {
        await using var setting = await Setting.CreateAsync(postgres);
        var member = Member("a:1");
        Assert.True(await setting.Table.TryInsertAsync(member, 0, Cancel));
        var before = await setting.Table.ReadAsync(Cancel);
        await setting.Table.HeartbeatAsync(member.Address, member.Incarnation, Cancel);
        var after = await setting.Table.ReadAsync(Cancel);
        Assert.Equal(before.Version, after.Version);
        Assert.True(after.Members[0].AliveAt > before.Members[0].AliveAt);
        Assert.Equal(before.Members[0].StartedAt, after.Members[0].StartedAt);
    }

    [Theory]
    [MemberData(nameof(Both))]
    public async Task Of_writers_at_the_same_version_one_wins_and_a_version_names_one_state(bool postgres)
    {
        await using var setting = await Setting.CreateAsync(postgres);
        const int Silos = 12;
        var seen = new System.Collections.Concurrent.ConcurrentDictionary<long, int>();
        var attempts = 0;
        await Task.WhenAll(Enumerable.Range(0, Silos).Select(i => Task.Run(async () =>
        {
            while (true)
            {
                var snapshot = await setting.Table.ReadAsync(Cancel);
                Assert.Equal(snapshot.Members.Length, seen.GetOrAdd(snapshot.Version, snapshot.Members.Length));
                Interlocked.Increment(ref attempts);
                if (await setting.Table.TryInsertAsync(Member($"s{i}:1"), snapshot.Version, Cancel)) return;
            }
        })));
        var end = await setting.Table.ReadAsync(Cancel);
        Assert.Equal((Silos, Silos), ((int)end.Version, end.Members.Length));
        Assert.All(seen, pair => Assert.Equal(pair.Key, pair.Value));
    }

    [Fact]
    public async Task Silos_find_and_bury_each_other_through_PostgreSQL()
    {
        await using var setting = await Setting.CreateAsync(postgres: true);
        await using var cluster = new TestCluster(table: setting.Table) { Configure = o => o.ProbeInterval = TimeSpan.FromMilliseconds(200) };
        var silos = await cluster.StartAsync("one", "two", "three");
        Assert.All(silos, silo => Assert.Equal(3, silo.Host.Membership.ActiveSilos.Length));
        await cluster.KillAsync(silos[0]);
        await Eventually.TrueAsync(() => silos.Skip(1).All(s => s.Host.Membership.ActiveSilos.Length == 2), "the dead silo is buried");
        await silos[1].Host.StopAsync(Cancel);
        await Eventually.TrueAsync(() => silos[2].Host.Membership.ActiveSilos.Length == 1, "the leaving silo is gone");
        Assert.Equal(2, (await setting.Table.ReadAsync(Cancel)).Members.Count(m => m.Status == MemberStatus.Dead));
    }

    private static SiloMember Member(string address) => new(address, Guid.NewGuid(), MemberStatus.Joining, "", "", "", "", default, default);

    private sealed class Setting(PrivatePostgres? database, IMembershipTable table) : IAsyncDisposable
    {
        public IMembershipTable Table => table;

        public static async Task<Setting> CreateAsync(bool postgres)
        {
            if (!postgres) return new Setting(null, new InMemoryMembershipTable(TimeProvider.System));
            var database = await PrivatePostgres.CreateAsync();
            return new Setting(database, new MembershipTable(database.DataSource));
        }

        public async ValueTask DisposeAsync()
        {
            if (database is not null) await database.DisposeAsync();
        }
    }
}
