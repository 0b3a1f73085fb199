using System.Text.Json;
using Relay.Silo.Storage;

namespace Relay.Silo.Snapshots;

/// <summary>
/// Keeps <see cref="SnapshotCell"/> at the database's versions: all organizations before the start goes on, then each change within
/// milliseconds of its notification and within <see cref="PollInterval"/> without one. When the database is down the last
/// snapshots stay: nothing can have been revoked meanwhile, since a revocation is a write.
/// </summary>
internal sealed partial class SnapshotFeed : BackgroundService
{
    /// <summary>The longest a lost notification can delay a change.</summary>
    public static readonly TimeSpan PollInterval = TimeSpan.FromSeconds(1);

    private readonly SnapshotCell _cell;
    private readonly SnapshotLoader _loader;
    private readonly DatabaseSignals _signals;
    private readonly StoreHealth _store;
    private readonly ISnapshotObserver[] _observers;
    private readonly SnapshotAcks _acks;
    private readonly TimeProvider _time;
    private readonly ILogger<SnapshotFeed> _logger;
    private readonly Wakeup _wakeup = new();
    private bool _failing;
    private int _outages;
    private int _reloaded;

    public SnapshotFeed(SnapshotCell cell, SnapshotLoader loader, DatabaseSignals signals, StoreHealth store, IEnumerable<ISnapshotObserver> observers, SnapshotAcks acks, TimeProvider time, ILogger<SnapshotFeed> logger)
    {
        _cell = cell;
        _loader = loader;
        _signals = signals;
        _store = store;
        _observers = [.. observers];
        _acks = acks;
        _time = time;
        _logger = logger;
    }

    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        await RefreshAsync(cancellationToken);
        _signals.OrganizationChanged += _wakeup.Set;
        _store.Changed += OnStoreChanged;
        await base.StartAsync(cancellationToken);
    }

    public override Task StopAsync(CancellationToken cancellationToken)
    {
        _signals.OrganizationChanged -= _wakeup.Set;
        _store.Changed -= OnStoreChanged;
        return base.StopAsync(cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await _wakeup.WaitAsync(PollInterval, _time, stoppingToken);
                await RefreshAsync(stoppingToken);
                if (_failing)
                    LogRecovered(_logger);
                _failing = false;
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                // Whatever it is, the next round tries again; deciding by the last snapshots goes on.
                if (!_failing)
                    LogFailing(_logger, e.Message);
                _failing = true;
                Interlocked.Increment(ref _outages);
            }
        }
    }

    private void OnStoreChanged()
    {
        if (_store.Reachable)
            _wakeup.Set();
        else
            Interlocked.Increment(ref _outages);
    }

    private async Task RefreshAsync(CancellationToken cancellationToken)
    {
        // What is back may be another server that lacks the last commits, and may since have counted up to the same number again.
        var outages = Volatile.Read(ref _outages);
        var distrusted = outages != _reloaded;
        var heads = await _loader.HeadsAsync(cancellationToken);
        var mine = _cell.Versions();
        foreach (var gone in mine.Keys.Where(id => !heads.ContainsKey(id)))
            Forget(gone);
        // Different, not greater: after a failover that lost the last commit a version goes back.
        foreach (var (organizationId, _) in heads.Where(h => !mine.TryGetValue(h.Key, out var version) || distrusted || version != h.Value))
        {
            try
            {
                if (await _loader.LoadAsync(organizationId, cancellationToken) is { } snapshot)
                {
                    _cell.Swap(snapshot);
                    LogSwapped(_logger, organizationId, snapshot.Version);
                    _acks.Applied(organizationId, mine.TryGetValue(organizationId, out var previous) ? previous : null, snapshot.Version, Tell(organizationId, snapshot));
                }
                else
                {
                    Forget(organizationId);
                }
            }
            catch (Exception e) when (e is InvalidDataException or JsonException)
            {
                // One organization's broken row must not keep the others from their revocations.
                // What it was before is not what it is now, so it decides nothing.
                LogUnreadable(_logger, organizationId, e.Message);
                Forget(organizationId);
            }
        }

        _reloaded = outages;
    }

    private void Forget(Guid organizationId)
    {
        _cell.Remove(organizationId);
        Tell(organizationId, null);
    }

    private Task[] Tell(Guid organizationId, OrgSnapshot? snapshot) => [.. _observers.SelectMany(o => o.OnSwapped(organizationId, snapshot))];

    [LoggerMessage(4103, LogLevel.Debug, "organization {OrganizationId} is at version {Version}")]
    private static partial void LogSwapped(ILogger logger, Guid organizationId, long version);

    [LoggerMessage(4104, LogLevel.Warning, "organizations cannot be read, deciding by the last known versions: {Reason}")]
    private static partial void LogFailing(ILogger logger, string reason);

    [LoggerMessage(4106, LogLevel.Error, "organization {OrganizationId} cannot be read and is closed: {Reason}")]
    private static partial void LogUnreadable(ILogger logger, Guid organizationId, string reason);

    [LoggerMessage(4105, LogLevel.Information, "organizations are read again")]
    private static partial void LogRecovered(ILogger logger);
}
