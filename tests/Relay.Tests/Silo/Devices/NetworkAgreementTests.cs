using System.Net;
using Relay.Silo.Devices;
using Relay.Silo.Hosting;
using Relay.Silo.LocalSnapshots;
using Relay.Silo.Storage;
using Relay.TestKit;
using Relay.Tests.Silo.Outage;
using Xunit;

namespace Relay.Tests.Silo.Devices;

/// <summary>Silos that were told different ranges and names do not serve one grid.</summary>
public sealed class NetworkAgreementTests
{
    private static readonly DeviceNetwork s_other = DeviceNetwork.Default with { Suffix = "corp" };

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task One_that_differs_from_those_that_are_up_does_not_start_and_may_when_they_have_stopped()
    {
        await using var postgres = await PrivatePostgres.CreateAsync();
        using var state = new TempDir("relay-network-");
        await using (var first = await StartAsync(postgres.ConnectionString, state, "one"))
        {
            var refused = await Assert.ThrowsAsync<StorageException>(() => StartAsync(postgres.ConnectionString, state, "two", s_other));
            Assert.Contains($"names *.corp, and silo {first.GridAddress}, which is up, gives out {DeviceNetwork.Default}: RELAY_WIREGUARD_DEVICES", refused.Message, StringComparison.Ordinal);
            // The order in which ranges are written means nothing.
            await using var same = await StartAsync(postgres.ConnectionString, state, "three", DeviceNetwork.Default with { Devices = [.. DeviceNetwork.Default.Devices.Reverse()] });
        }

        await using var changed = await StartAsync(postgres.ConnectionString, state, "two", s_other);
        Assert.Equal("corp", ((DeviceNetwork)changed.Services.GetService(typeof(DeviceNetwork))!).Suffix);
    }

    [Fact]
    public async Task One_that_was_started_without_the_database_ends_when_it_learns_that_it_differs()
    {
        await using var postgres = await PrivatePostgres.CreateAsync();
        using var proxy = new StoreProxy(postgres.ConnectionString);
        using var state = new TempDir("relay-network-");
        await using (await StartAsync(proxy.ConnectionString, state, "one"))
        {
        }

        await using var other = await StartAsync(postgres.ConnectionString, state, "two", s_other);
        proxy.Refuse();
        await using var fromDisk = await StartAsync(proxy.ConnectionString, state, "one");
        Assert.True(((ReadOnlyStart)fromDisk.Services.GetService(typeof(ReadOnlyStart))!).IsActive);
        proxy.Forward();
        await fromDisk.WaitForShutdownAsync(Cancel);
        Assert.Equal(1, (await postgres.DataSource.CreateCommand("SELECT count(*) FROM silo_member WHERE status <> 'dead'").ExecuteScalarAsync(Cancel)) switch { long n => (int)n, _ => -1 });
    }

    private static Task<SiloHost> StartAsync(string database, TempDir state, string name, DeviceNetwork? network = null) => SiloHost.StartAsync(
        new SiloOptions
        {
            Database = database,
            StateDirectory = state.Path,
            MasterKeyFile = state.File("master.key"),
            Name = name,
            ApiListen = new IPEndPoint(IPAddress.Loopback, 0),
            GridListen = new IPEndPoint(IPAddress.Loopback, 0),
            ConnectorListen = new IPEndPoint(IPAddress.Loopback, 0),
            DrainTime = TimeSpan.Zero,
            Network = network ?? DeviceNetwork.Default,
            LogLevel = Microsoft.Extensions.Logging.LogLevel.None,
        },
        TimeProvider.System,
        configure: null,
        Cancel);
}
