using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging.Abstractions;
using Orleans;
using Relay.GrainHost.Hosting;
using Relay.GrainHost.Links;
using Relay.GrainHost.Membership;
using Relay.Grains;
using Relay.Grains.Connectors;
using Relay.Grains.Sockets;
using Relay.TestKit;

namespace Relay.Tests.Grains;

/// <summary>One silo with the domain grains, on manual time.</summary>
internal sealed class GrainSetting : IAsyncDisposable
{
    private readonly GrainSilo _silo;

    private GrainSetting(Action<IServiceCollection> services)
    {
        var collection = new ServiceCollection().AddSingleton<TimeProvider>(Time);
        services(collection);
        collection.TryAddSingleton<IConnectorLeases, NoLeases>();
        var options = new GrainHostOptions { Address = "one:1", GrainAssemblies = { typeof(RelayGrainsServiceCollectionExtensions).Assembly } };
        _silo = new GrainSilo(
            options, new InMemoryMembershipTable(Time), new Alone(), collection.AddRelayGrains().BuildServiceProvider(), Time, NullLogger<GrainSilo>.Instance);
    }

    public ManualTimeProvider Time { get; } = new();

    public IGrainFactory Grains => _silo.GrainFactory;

    public int ActivationCount => _silo.ActivationCount;

    public static async Task<GrainSetting> CreateAsync(Action<IServiceCollection>? services = null)
    {
        var setting = new GrainSetting(services ?? (_ => { }));
        await setting._silo.StartAsync(CancellationToken.None);
        return setting;
    }

    /// <summary>What silos have said of a socket.</summary>
    public async Task<IReadOnlyList<WayLoad>> ReportsOf(Guid socket) =>
        (await Grains.GetGrain<ISocketGrain>($"{socket:D}").ReportAsync(new SocketLoad(Guid.NewGuid(), []), CancellationToken.None)).Ways;

    public ValueTask DisposeAsync() => _silo.DisposeAsync();

    private sealed class NoLeases : IConnectorLeases
    {
        public ValueTask<ConnectorAttachment?> ReadAsync(Guid connectorId, CancellationToken cancellationToken) => default;
    }

    private sealed class Alone : ISiloTransport
    {
        public ValueTask<Stream> ConnectAsync(string siloAddress, CancellationToken cancellationToken) => throw new IOException("There is no other silo.");
    }
}
