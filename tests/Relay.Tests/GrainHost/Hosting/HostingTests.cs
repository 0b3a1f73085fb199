using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans;
using Relay.GrainHost.Hosting;
using Relay.GrainHost.Links;
using Relay.GrainHost.Membership;
using Relay.Tests.GrainHost.Cluster;
using Xunit;

namespace Relay.Tests.GrainHost.Hosting;

public sealed class HostingTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(false)]
    [InlineData(true)] // as with a listener on port 0
    public async Task A_process_joins_with_its_services_and_leaves_with_them(bool addressIsLate)
    {
        var table = new InMemoryMembershipTable(TimeProvider.System);
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Services.AddLogging();
        builder.Services.AddSingleton<IMembershipTable>(table).AddSingleton<ISiloTransport>(new NoTransport()).AddSingleton<TestJournal>();
        builder.Services.AddGrainHost(o =>
        {
            o.GrainAssemblies.Add(typeof(HostingTests).Assembly);
            o.CallTimeout = o.StopTimeout = TimeSpan.FromMinutes(1);
            if (!addressIsLate) o.Address = "here:1";
        });
        if (addressIsLate) builder.Services.AddHostedService<LateAddress>();
        using var host = builder.Build();
        await host.StartAsync(Cancel);
        var local = host.Services.GetRequiredService<ILocalSilo>();
        var membership = host.Services.GetRequiredService<IMembership>();
        Assert.Equal(("here:1", local.Incarnation), (local.Address, Assert.Single(membership.ActiveSilos).Incarnation));
        Assert.Equal(MemberStatus.Active, Assert.Single((await table.ReadAsync(Cancel)).Members).Status);
        Assert.Equal(1, await host.Services.GetRequiredService<IGrainFactory>().GetGrain<ILifeGrain>("a").CountAsync());
        await host.StopAsync(Cancel);
        Assert.Equal(MemberStatus.Dead, Assert.Single((await table.ReadAsync(Cancel)).Members).Status);
        Assert.Contains("a: deactivate ShuttingDown", host.Services.GetRequiredService<TestJournal>().Lines);
    }

    [Fact]
    public async Task A_process_that_was_declared_dead_ends()
    {
        var table = new InMemoryMembershipTable(TimeProvider.System);
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Services.AddLogging();
        builder.Services.AddSingleton<IMembershipTable>(table).AddSingleton<ISiloTransport>(new NoTransport()).AddSingleton<TestJournal>();
        builder.Services.AddGrainHost(o =>
        {
            o.GrainAssemblies.Add(typeof(HostingTests).Assembly);
            o.Address = "here:1";
        });
        using var host = builder.Build();
        await host.StartAsync(Cancel);
        var stopping = host.Services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping;
        var self = Assert.Single((await table.ReadAsync(Cancel)).Members);
        var version = (await table.ReadAsync(Cancel)).Version;
        Assert.True(await table.TrySetStatusAsync(self.Address, self.Incarnation, MemberStatus.Dead, version, Cancel));
        await host.Services.GetRequiredService<IMembership>().RefreshAsync(Cancel);
        Assert.True(stopping.IsCancellationRequested);
        await host.StopAsync(Cancel);
    }

    [Fact]
    public async Task Options_that_cannot_work_are_all_named()
    {
        var options = new GrainHostOptions { CallTimeout = TimeSpan.Zero, MaxQueuedCalls = 0, MaxFrameBytes = 10, MissedProbes = 0 };
        await using var silo = new GrainSilo(
            options, new InMemoryMembershipTable(TimeProvider.System), new NoTransport(), new ServiceCollection().BuildServiceProvider(), TimeProvider.System,
            Microsoft.Extensions.Logging.Abstractions.NullLogger<GrainSilo>.Instance);
        var failure = await Assert.ThrowsAsync<InvalidOperationException>(() => silo.JoinAsync(Cancel));
        foreach (var name in new[] { "Address", "GrainAssemblies", "CallTimeout", "MaxQueuedCalls", "MaxFrameBytes", "MissedProbes" })
            Assert.Contains(name, failure.Message, StringComparison.Ordinal);
    }

    private sealed class LateAddress(GrainHostOptions options) : IHostedService
    {
        public Task StartAsync(CancellationToken cancellationToken)
        {
            options.Address = "here:1";
            return Task.CompletedTask;
        }

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }

    private sealed class NoTransport : ISiloTransport
    {
        public ValueTask<Stream> ConnectAsync(string siloAddress, CancellationToken cancellationToken) => throw new IOException("There is no other silo.");
    }
}
