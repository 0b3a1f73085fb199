using System.Text.Json;
using Relay.Protocol.Tunnel;
using Relay.Silo.Fencing;
using Relay.Silo.Grid;
using Relay.Tests.Silo.Grid;

namespace Relay.Tests.Silo.Fencing;

/// <summary>Whole silos on one store: what they know of each other, and who is fenced.</summary>
public sealed class GridHealthTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Silos_hear_each_other_and_a_silo_that_left_is_fenced_by_those_who_stay()
    {
        await using var one = await TestSilo.StartAsync();
        await using var two = await TestSilo.StartAsync(one, "silo-2");
        var three = await TestSilo.StartAsync(one, "silo-3");
        TestSilo[] all = [one, two, three];
        foreach (var silo in all)
        {
            await Eventually.TrueAsync(() => silo.Get<SiloFence>().Voters.Count == 3, "it counts all three");
            await Eventually.TrueAsync(() => silo.Get<GridHealth>().MajorityReachable, "it hears them");
            await Eventually.TrueAsync(() => silo.Get<GridHealth>().StoreReachable, "it reaches the store");
            Assert.True(silo.Get<SiloFence>().MayServe(silo.Get<BootClock>().Now));
        }

        using var http = new HttpClient();
        await Eventually.TrueAsync(
            async () =>
            {
                using var health = JsonDocument.Parse(await http.GetStringAsync($"{one.Host.ApiAddress}/health", Cancel));
                return health.RootElement.GetProperty("grid").GetProperty("majority_reachable").GetBoolean();
            },
            "it says so");
        await Eventually.TrueAsync(
            async () => (await http.GetStringAsync($"{one.Host.ApiAddress}/metrics", Cancel)).Contains("relay_grid_majority_reachable 1\n", StringComparison.Ordinal), "its metrics say so");

        var gone = three.Get<SiloFence>().Self;
        await three.DisposeAsync();
        foreach (var silo in all[..2])
        {
            await Eventually.TrueAsync(() => silo.Get<SiloFence>().Knows(gone.Incarnation), "it knows who is fenced");
            await Eventually.TrueAsync(() => silo.Get<SiloFence>().Voters.Count == 2, "it counts those who are left");
            Assert.False(silo.Get<SiloFence>().IsFenced);
        }

        Assert.Equal(
            [gone.Incarnation.ToString()],
            (await one.QueryAsync<string[]>("SELECT array_agg(incarnation::text) FROM silo_fence WHERE fenced_at IS NOT NULL")));
    }

    [Fact]
    public async Task A_silo_that_is_fenced_in_the_store_serves_no_more()
    {
        await using var silo = await TestSilo.StartAsync();
        var fence = silo.Get<SiloFence>();
        await Eventually.TrueAsync(() => fence.MayServe(silo.Get<BootClock>().Now), "it may serve");
        await silo.Get<FenceStore>().FenceAsync([fence.Self], Cancel);
        await Eventually.TrueAsync(() => fence.IsFenced, "it knows");
        Assert.False(fence.MayServe(silo.Get<BootClock>().Now));
        var stopping = silo.Get<Microsoft.Extensions.Hosting.IHostApplicationLifetime>().ApplicationStopping;
        await Eventually.TrueAsync(() => stopping.IsCancellationRequested, "it ends");
    }

    [Fact]
    public async Task A_fenced_row_takes_no_voters_and_a_late_write_changes_nothing()
    {
        await using var silo = await TestSilo.StartAsync();
        var store = silo.Get<FenceStore>();
        Voter[] voters = [new("a:1", Guid.NewGuid()), new("b:1", Guid.NewGuid())];
        await store.StartAsync(voters[0], Cancel);
        Assert.True(await store.AdoptAsync(voters[0].Incarnation, 2, voters, [], Cancel));
        Assert.False(await store.AdoptAsync(voters[0].Incarnation, 1, voters[..1], voters, Cancel));
        Assert.True(await store.IsHeldAsync(voters[0].Incarnation, Cancel));
        var fenced = Assert.Single(await store.FenceAsync(voters[..1], Cancel));
        Assert.Equal(voters, fenced.Voters[0]);
        Assert.Empty(fenced.Voters[1]);
        Assert.False(await store.AdoptAsync(voters[0].Incarnation, 3, voters[..1], voters, Cancel));
        Assert.False(await store.IsHeldAsync(voters[0].Incarnation, Cancel));

        // Nobody knows whom a silo without a row listens to.
        Assert.Equal("unknown", Assert.Single(await store.FenceAsync(voters[1..], Cancel)).Voters[0].Single().Address);
        Assert.False(await store.IsHeldAsync(Guid.NewGuid(), Cancel));
    }
}
