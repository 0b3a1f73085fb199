using Microsoft.Extensions.Logging;
using Relay.Silo.Recordings;
using Relay.Silo.Snapshots;
using Relay.Silo.Storage;
using Relay.TestKit;
using Relay.Tests.Silo.Api;

namespace Relay.Tests.Silo.Storage;

/// <summary>What tries again and again in an outage says so once, and once that it is over.</summary>
public sealed class OutageLogTests(PrivatePostgres postgres) : IClassFixture<PrivatePostgres>
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_look_for_unfinished_recordings()
    {
        using var log = new CapturedLog();
        using var loggers = LoggerFactory.Create(l => l.AddProvider(log));
        using var proxy = new StoreProxy(postgres.ConnectionString);
        await using var database = RelayDatabase.CreateDataSource($"{proxy.ConnectionString};Timeout=60;Command Timeout=60");
        using var sweep = new RecordingSweep(new RecordingStates(database), TimeProvider.System, loggers.CreateLogger<RecordingSweep>());
        await sweep.LookAsync(Cancel);
        for (var outage = 1; outage <= 2; outage++)
        {
            proxy.Refuse();
            for (var i = 0; i < 3; i++)
                await sweep.LookAsync(Cancel);
            Assert.Equal((outage, outage - 1), (Count(log, "recordings could not be checked"), Count(log, "recordings are checked again")));
            proxy.Forward();
            // The pool may still hold a connection that was reset.
            await Eventually.TrueAsync(async () =>
            {
                await sweep.LookAsync(Cancel);
                return Count(log, "recordings are checked again") == outage;
            }, "recordings are checked again");
            await sweep.LookAsync(Cancel);
            Assert.Equal((outage, outage), (Count(log, "recordings could not be checked"), Count(log, "recordings are checked again")));
        }
    }

    [Fact]
    public async Task The_ear_for_changes()
    {
        using var log = new CapturedLog();
        using var loggers = LoggerFactory.Create(l => l.AddProvider(log));
        using var proxy = new StoreProxy(postgres.ConnectionString);
        await using var database = RelayDatabase.CreateDataSource($"{proxy.ConnectionString};Timeout=60;Command Timeout=60");
        using var signals = new DatabaseSignals(database, TimeProvider.System, loggers.CreateLogger<DatabaseSignals>());
        var listens = 0;
        signals.OrganizationChanged += () => Interlocked.Increment(ref listens);
        await signals.StartAsync(Cancel);
        await Eventually.TrueAsync(() => Volatile.Read(ref listens) == 1, "it listens");
        proxy.Refuse();
        var before = proxy.Accepted;
        await Eventually.TrueAsync(() => proxy.Accepted >= before + 3, "it has tried three times");
        Assert.Equal((1, 0), (Count(log, "listening for changes interrupted"), Count(log, "changes are listened for again")));
        proxy.Forward();
        await Eventually.TrueAsync(() => Volatile.Read(ref listens) == 2, "it listens again");
        Assert.Equal((1, 1), (Count(log, "listening for changes interrupted"), Count(log, "changes are listened for again")));
        await signals.StopAsync(Cancel);
    }

    private static int Count(CapturedLog log, string message) => log.Text.Split('\n').Count(l => l.Contains(message, StringComparison.Ordinal));
}
