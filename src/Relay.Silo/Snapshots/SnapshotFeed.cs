using System.Text.Json;
using Relay.Silo.LocalSnapshots;
using Relay.Silo.Sessions;
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
    private readonly LocalSnapshotKeeper _keeper;
    private readonly ReadOnlyStart _start;
    private readonly IPeerAnswers _peers;
    private readonly RevokedGateways _gateways;
    private readonly TimeProvider _time;
    private readonly ILogger<SnapshotFeed> _logger;
    private readonly Wakeup _wakeup = new();
    private bool _failing;
    private int _outages;
    private int _reloaded;

    public SnapshotFeed(SnapshotCell cell, SnapshotLoader loader, DatabaseSignals signals, StoreHealth store, IEnumerable<ISnapshotObserver> observers, SnapshotAcks acks, LocalSnapshotKeeper keeper, ReadOnlyStart start, IPeerAnswers peers, RevokedGateways gateways, TimeProvider time, ILogger<SnapshotFeed> logger)
    {
        _cell = cell;
        _loader = loader;
        _signals = signals;
        _store = store;
        _observers = [.. observers];
        _acks = acks;
        _keeper = keeper;
        _start = start;
        _peers = peers;
        _gateways = gateways;
        _time = time;
        _logger = logger;
    }

    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        if (_start.IsActive)
            await StartFromDiskAsync(cancellationToken);
        else
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
                if (_start.IsActive && !_store.Reachable)
                {
                    await FollowPeersAsync(stoppingToken);
                    continue;
                }

                await RefreshAsync(stoppingToken);
                _start.End();
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
        var (heads, revoked) = await _loader.HeadsAsync(cancellationToken);

        // Before the versions: one that is confirmed has cut off the gateways that were revoked with it.
        if (revoked is not null)
            Revoke(revoked);
        var mine = _cell.Versions();
        foreach (var gone in mine.Keys.Where(id => !heads.ContainsKey(id)))
            Forget(gone);
        // Different, not greater: after a failover that lost the last commit a version goes back.
        foreach (var (organizationId, _) in heads.Where(h => !mine.TryGetValue(h.Key, out var version) || distrusted || version != h.Value))
        {
            try
            {
                if (await _loader.RowsAsync(organizationId, distrusted ? null : _cell.Find(organizationId)?.Rows, cancellationToken) is { } rows)
                {
                    var (closing, kept) = Apply(rows);
                    _acks.Applied(organizationId, mine.TryGetValue(organizationId, out var previous) ? previous : null, rows.Head.Version, closing, kept);
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
        _keeper.Confirm();
    }

    private async Task StartFromDiskAsync(CancellationToken cancellationToken)
    {
        // Whatever the store says when it is back counts, whichever version it calls it.
        Interlocked.Increment(ref _outages);
        _gateways.Replace(_start.Snapshot!.RevokedGateways);
        foreach (var organization in _start.Snapshot.Organizations)
        {
            _cell.Swap(_loader.Build(organization.Rows));
            _keeper.Known(organization);
        }

        await FollowPeersAsync(cancellationToken);
    }

    // SECURITY: what was taken away while this silo was not running, peers that were know. Who does not answer may be away with the store.
    private async Task FollowPeersAsync(CancellationToken cancellationToken)
    {
        var mine = _cell.Versions();
        var peers = await _peers.VersionsAsync(cancellationToken);
        if (peers.RevokedGateways.Count > 0)
            Revoke([.. _keeper.Revoked.Concat(peers.RevokedGateways).GroupBy(g => g.Name).Select(g => g.MaxBy(r => r.After)!)]);
        foreach (var (organizationId, (version, peer)) in peers.Versions)
        {
            if (mine.TryGetValue(organizationId, out var own) && own >= version)
                continue;
            try
            {
                if (await _peers.RowsAsync(peer, organizationId, cancellationToken) is { } rows && rows.Head.Version >= version)
                {
                    _ = Apply(rows);
                    LogFollowed(_logger, organizationId, rows.Head.Version, peer);
                }
                else if (mine.ContainsKey(organizationId))
                {
                    LogOvertaken(_logger, organizationId, own, version, peer);
                    Forget(organizationId);
                }
            }
            catch (Exception e) when (e is InvalidDataException or JsonException)
            {
                LogUnreadable(_logger, organizationId, e.Message);
                Forget(organizationId);
            }
        }
    }

    private void Revoke(IReadOnlyList<RevokedGateway> gateways)
    {
        _keeper.Revoke(gateways);
        _gateways.Replace(gateways);
    }

    private (Task[] Closing, Task Kept) Apply(SnapshotRows rows)
    {
        var snapshot = _loader.Build(rows, _cell.Find(rows.Head.OrganizationId));
        // First: who asks this silo by what it decides, and then for that, finds it.
        var kept = _keeper.Apply(rows);
        _cell.Swap(snapshot);
        LogSwapped(_logger, snapshot.OrganizationId, snapshot.Version);
        return (Tell(snapshot.OrganizationId, snapshot), kept);
    }

    private void Forget(Guid organizationId)
    {
        _cell.Remove(organizationId);
        _keeper.Forget(organizationId);
        Tell(organizationId, null);
    }

    private Task[] Tell(Guid organizationId, OrgSnapshot? snapshot) => [.. _observers.SelectMany(o => o.OnSwapped(organizationId, snapshot))];

    [LoggerMessage(4103, LogLevel.Debug, "organization {OrganizationId} is at version {Version}")]
    private static partial void LogSwapped(ILogger logger, Guid organizationId, long version);

    [LoggerMessage(4104, LogLevel.Warning, "organizations cannot be read, deciding by the last known versions: {Reason}")]
    private static partial void LogFailing(ILogger logger, string reason);

    [LoggerMessage(4106, LogLevel.Error, "organization {OrganizationId} cannot be read and is closed: {Reason}")]
    private static partial void LogUnreadable(ILogger logger, Guid organizationId, string reason);

    [LoggerMessage(4110, LogLevel.Warning, "organization {OrganizationId} is at version {Version}, as silo {Peer} has it")]
    private static partial void LogFollowed(ILogger logger, Guid organizationId, long version, string peer);

    [LoggerMessage(4111, LogLevel.Error, "organization {OrganizationId} is closed: the snapshot on disk is of version {Version}, silo {Peer} decides by {Newer} and cannot tell what that is")]
    private static partial void LogOvertaken(ILogger logger, Guid organizationId, long version, long newer, string peer);

    [LoggerMessage(4105, LogLevel.Information, "organizations are read again")]
    private static partial void LogRecovered(ILogger logger);
}
