using System.Text.Json;
using Relay.Silo.Snapshots;
using Relay.TestKit;

namespace Relay.Tests.Silo.Snapshots;

/// <summary>A change costs what was changed, and nothing that was is missed: reading all of it is the oracle.</summary>
public sealed class SnapshotPartsTests(PrivatePostgres postgres) : IClassFixture<PrivatePostgres>
{
    public static TheoryData<string> Kinds => [.. SnapshotScene.Writes.Select(w => w.Name)];

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Only_what_a_write_changed_is_read_again(string kind)
    {
        var scene = await SnapshotScene.CreateAsync(postgres);
        var known = await scene.ReadAsync(null);
        var former = scene.Build(known, null);
        await scene.WriteAsync([kind]);

        var next = await scene.ReadAsync(known);
        Assert.Equal(SnapshotScene.Writes.Single(w => w.Name == kind).Parts.Order(), SnapshotScene.Changed(known, next).Order());
        Assert.Equal(known.Head.Version + 1, next.Head.Version);
        await IsAllOfItAsync(scene, next, scene.Build(next, former));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Whatever_is_written_the_parts_together_are_what_is_there(int seed)
    {
        var random = new Random(seed);
        var scene = await SnapshotScene.CreateAsync(postgres);
        var rows = await scene.ReadAsync(null);
        var snapshot = scene.Build(rows, null);
        for (var round = 0; round < 60; round++)
        {
            // Several writes between two looks, several changes in one write, and some that come to nothing.
            for (var write = random.Next(1, 3); write > 0; write--)
                await TryWriteAsync(scene, random, abandon: random.Next(6) == 0);
            rows = await scene.ReadAsync(rows);
            snapshot = scene.Build(rows, snapshot);
            await IsAllOfItAsync(scene, rows, snapshot);
        }
    }

    [Fact]
    public async Task What_is_written_while_it_is_read_is_there_the_next_time()
    {
        var scene = await SnapshotScene.CreateAsync(postgres);
        var rows = await scene.ReadAsync(null);
        var snapshot = scene.Build(rows, null);
        var writers = Task.WhenAll(Enumerable.Range(0, 4).Select(async seed =>
        {
            var random = new Random(seed);
            for (var i = 0; i < 25; i++)
                await TryWriteAsync(scene, random, abandon: false);
        }));
        var version = rows.Head.Version;
        do
        {
            rows = await scene.ReadAsync(rows);
            snapshot = scene.Build(rows, snapshot);
            Assert.InRange(rows.Head.Version, version, long.MaxValue);
            version = rows.Head.Version;
        }
        while (!writers.IsCompleted);
        await writers;
        rows = await scene.ReadAsync(rows);
        await IsAllOfItAsync(scene, rows, scene.Build(rows, snapshot));
    }

    [Fact]
    public async Task What_another_server_or_nobody_vouches_for_is_read_anew()
    {
        var scene = await SnapshotScene.CreateAsync(postgres);
        var known = await scene.ReadAsync(null);
        Assert.Empty(SnapshotScene.Changed(known, await scene.ReadAsync(known)));
        var elsewhere = new Dictionary<string, string>(known.Stamps!) { ["server"] = "2001-01-01" };
        var travelled = JsonSerializer.Deserialize(JsonSerializer.Serialize(known, SnapshotRowsJson.Default.SnapshotRows), SnapshotRowsJson.Default.SnapshotRows)!;
        foreach (var other in new[] { known with { Stamps = elsewhere }, travelled })
        {
            var next = await scene.ReadAsync(other);
            Assert.Equal(9, SnapshotScene.Changed(other, next).Length);
            Assert.Equal(SnapshotScene.Canonical(known), SnapshotScene.Canonical(next));
        }
    }

    [Fact]
    public async Task An_organization_goes_with_all_that_was_noted_of_it()
    {
        var scene = await SnapshotScene.CreateAsync(postgres);
        var known = await scene.ReadAsync(null);
        await scene.WriteAsync(["user", "device revoked"]);
        Assert.Equal(["devices", "users"], SnapshotScene.Changed(known, await scene.ReadAsync(known)).Order());
        await using (var command = postgres.DataSource.CreateCommand("DELETE FROM organization WHERE organization_id = $1"))
        {
            command.Parameters.AddWithValue(scene.Organization);
            Assert.Equal(1, await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken));
        }

        Assert.Null(await scene.FindAsync(known));
        await using var count = postgres.DataSource.CreateCommand("SELECT count(*) FROM organization_part WHERE organization_id = $1");
        count.Parameters.AddWithValue(scene.Organization);
        Assert.Equal(0L, await count.ExecuteScalarAsync(TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task What_was_not_changed_is_shared_with_the_version_before()
    {
        var scene = await SnapshotScene.CreateAsync(postgres);
        var rows = await scene.ReadAsync(null);
        var former = scene.Build(rows, null);
        await scene.WriteAsync(["policy"]);
        var snapshot = scene.Build(await scene.ReadAsync(rows), former);
        Assert.Same(former.Users, snapshot.Users);
        Assert.Same(former.Sockets, snapshot.Sockets);
        Assert.Same(former.Devices, snapshot.Devices);
        Assert.NotSame(former.Policies, snapshot.Policies);
        Assert.Equal(former.Policies.Count + 1, snapshot.Policies.Count);
    }

    private static async Task TryWriteAsync(SnapshotScene scene, Random random, bool abandon)
    {
        string[] kinds = [.. Enumerable.Range(0, random.Next(1, 4)).Select(_ => SnapshotScene.Writes[random.Next(SnapshotScene.Writes.Length)].Name)];
        try
        {
            await scene.WriteAsync(kinds, abandon);
        }
        catch (Npgsql.PostgresException e) when (e.SqlState.StartsWith("23", StringComparison.Ordinal))
        {
            // What it would relate is not there any more: the whole write came to nothing.
        }
    }

    private static async Task IsAllOfItAsync(SnapshotScene scene, SnapshotRows rows, OrgSnapshot snapshot)
    {
        var oracle = await scene.ReadAsync(null);
        Assert.Equal(SnapshotScene.Canonical(oracle), SnapshotScene.Canonical(rows));
        Assert.Equal(SnapshotScene.Canonical(scene.Build(oracle, null)), SnapshotScene.Canonical(snapshot));
    }
}
