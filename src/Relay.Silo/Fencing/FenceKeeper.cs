using System.Collections.Concurrent;
using Npgsql;
using Relay.Protocol.Grid;
using Relay.Protocol.Tunnel;
using Relay.Silo.Grid;
using Relay.Silo.Storage;

namespace Relay.Silo.Fencing;

/// <summary>
/// Tells <see cref="SiloFence"/> what it has to know, once a second: heartbeats to every member, the fences in the store; fences members
/// that died, and keeps <see cref="GridHealth"/> true. Needs of the grain host only <see cref="IGridMembers"/>. Safe for concurrent use.
/// </summary>
internal sealed partial class FenceKeeper : BackgroundService, IPeerRenewals
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(2);

    private readonly SiloFence _fence;
    private readonly FenceTimes _times;
    private readonly FenceStore _store;
    private readonly StoreHealth _storeHealth;
    private readonly IGridMembers _members;
    private readonly GridHealth _health;
    private readonly SiloLinks _links;
    private readonly BootClock _clock;
    private readonly TimeProvider _time;
    private readonly IHostApplicationLifetime _lifetime;
    private readonly ILogger<FenceKeeper> _logger;
    private readonly Lock _updating = new();
    private readonly ConcurrentDictionary<string, PeerBeat> _peers = new(StringComparer.Ordinal);
    private readonly HashSet<Guid> _confirmed = [];
    private Task _storeTurn = Task.CompletedTask;
    private long _seq;
    private bool _started;
    private int _stopping;

    public FenceKeeper(
        SiloFence fence, FenceTimes times, FenceStore store, StoreHealth storeHealth, IGridMembers members, GridHealth health,
        SiloLinks links, BootClock clock, TimeProvider time, IHostApplicationLifetime lifetime, ILogger<FenceKeeper> logger)
    {
        _fence = fence;
        _times = times;
        _store = store;
        _storeHealth = storeHealth;
        _members = members;
        _health = health;
        _links = links;
        _clock = clock;
        _time = time;
        _lifetime = lifetime;
        _logger = logger;
    }

    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        _storeHealth.Changed += UpdateHealth;
        await AskStoreAsync(cancellationToken);
        await base.StartAsync(cancellationToken);
    }

    public override void Dispose()
    {
        _storeHealth.Changed -= UpdateHealth;
        foreach (var peer in _peers.Values) peer.Link.Dispose();
        base.Dispose();
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(_times.Heartbeat, _time);
        do
        {
            Beat(stoppingToken);
            if (_storeTurn.IsCompleted) _storeTurn = AskStoreAsync(stoppingToken);
            UpdateHealth();
        }
        while (await timer.WaitForNextTickAsync(stoppingToken));
    }

    /// <inheritdoc/>
    public async Task<PeerRenewalAnswer?> RenewThroughPeerAsync(IReadOnlyList<PeerLease> leases, IReadOnlyList<Guid> tokens, CancellationToken cancellationToken)
    {
        foreach (var peer in _fence.PeersWithStore(_clock.Now))
        {
            if (!_peers.TryGetValue(peer.Address, out var known)) continue;
            var askedAt = _clock.Now;
            var renewal = new PeerRenewal(_fence.Self.Incarnation, leases, tokens);
            if (await known.Link.AskAsync(GridRoutes.PeerRenewal, renewal, GridJson.Default.PeerRenewal, GridJson.Default.PeerRenewalAnswer, Deadline, cancellationToken) is not { } answer) continue;
            if (answer.Held) _fence.OnHeld(askedAt);
            return answer;
        }

        return null;
    }

    private void UpdateHealth()
    {
        lock (_updating)
        {
            var now = _clock.Now;
            var former = (_health.StoreReachable, _health.MajorityReachable);
            _health.Update(_storeHealth.Reachable, _fence.PeersWithStore(now).Count > 0, _fence.HearsMajority(now));
            if (former != (_health.StoreReachable, _health.MajorityReachable)) LogHealth(_health.StoreReachable, _health.StoreReachableDirectly, _health.MajorityReachable);
        }

        if (!_fence.IsFenced || Interlocked.Exchange(ref _stopping, 1) != 0) return;
        LogFenced();
        _lifetime.StopApplication();
    }

    /// <summary>Whoever answers slowly is not asked twice at a time, and holds up nobody.</summary>
    private void Beat(CancellationToken cancellationToken)
    {
        var targets = _fence.Voters.Concat(_members.Serving.Select(m => new Voter(m.Address, m.Incarnation)))
            .Where(v => v.Address != _fence.Self.Address)
            .GroupBy(v => v.Address)
            .Select(g => g.Last())
            .ToArray();
        foreach (var target in targets)
        {
            var peer = _peers.GetOrAdd(target.Address, address => new PeerBeat(new PeerLink(_links, address, _time)));
            if (peer.UnderWay.IsCompleted) peer.UnderWay = BeatAsync(target, peer.Link, cancellationToken);
        }

        foreach (var (address, peer) in _peers)
        {
            if (targets.Any(t => t.Address == address) || !_peers.TryRemove(address, out _)) continue;
            peer.Link.Dispose();
        }
    }

    private async Task BeatAsync(Voter target, PeerLink link, CancellationToken cancellationToken)
    {
        await Task.Yield();
        try
        {
            var sentAt = _clock.Now;
            var beat = _fence.Beat(target.Incarnation, _storeHealth.Reachable);
            if (await link.AskAsync(GridRoutes.PeerHeartbeat, beat, GridJson.Default.PeerHeartbeat, GridJson.Default.PeerHeartbeatAnswer, Deadline, cancellationToken) is { } answer)
                _fence.OnAnswer(target, answer, sentAt, _clock.Now);
        }
        catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
        {
            // The silo stops, or the peer is no member any more.
        }
    }

    private async Task AskStoreAsync(CancellationToken cancellationToken)
    {
        await Task.Yield();
        if (!_storeHealth.Reachable)
        {
            // What comes back may be a standby that lacks the last writes.
            _confirmed.Clear();
            if (await RenewThroughPeerAsync([], [], cancellationToken) is { Held: false })
                _fence.OnFenced(_fence.Self.Incarnation, [], _clock.Now);
            return;
        }

        using var late = new CancellationTokenSource(Deadline, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellationToken);
        using var stop = new StoreBound(either.Token, _storeHealth.Outage);
        try
        {
            if (!_started) await _store.StartAsync(_fence.Self, stop.Token);
            _started = true;
            var askedAt = _clock.Now;
            var reading = await _store.ReadAsync(_fence.Self.Incarnation, stop.Token);
            Learn(reading.Fenced);
            if (reading.Held) _fence.OnHeld(askedAt);
            else _fence.OnFenced(_fence.Self.Incarnation, [], _clock.Now);

            var dead = _members.Dead.Where(m => !_confirmed.Contains(m.Incarnation)).Select(m => new Voter(m.Address, m.Incarnation)).ToArray();
            if (dead.Length > 0)
            {
                foreach (var silo in dead.Where(d => !_fence.Knows(d.Incarnation))) LogFencedOther(silo.Address, silo.Incarnation);
                Learn(await _store.FenceAsync(dead, stop.Token));
                _confirmed.UnionWith(dead.Select(d => d.Incarnation));
            }

            await AdoptAsync(stop.Token);
        }
        catch (Exception e) when (e is NpgsqlException or TimeoutException or OperationCanceledException or ObjectDisposedException)
        {
            if (!cancellationToken.IsCancellationRequested) _storeHealth.Suspect(e);
        }
    }

    private void Learn(IReadOnlyList<FencedRow> fenced)
    {
        foreach (var silo in fenced) _fence.OnFenced(silo.Incarnation, silo.Voters, _clock.Now);
    }

    private async Task AdoptAsync(CancellationToken cancellationToken)
    {
        var serving = _members.Serving.Select(m => new Voter(m.Address, m.Incarnation)).ToHashSet();
        var current = _fence.Voters;
        if (!serving.Contains(_fence.Self) || serving.SetEquals(current)) return;
        var voters = serving.ToArray();
        if (await _store.AdoptAsync(_fence.Self.Incarnation, ++_seq, voters, current, cancellationToken)) _fence.Adopt(voters);
    }

    private sealed class PeerBeat(PeerLink link)
    {
        public PeerLink Link => link;

        public Task UnderWay { get; set; } = Task.CompletedTask;
    }
}

/// <summary>The way to the store through another silo. Safe for concurrent use.</summary>
internal interface IPeerRenewals
{
    /// <summary>Has a peer that reaches the store renew what this silo holds. Null: there is none, or it could not.</summary>
    Task<PeerRenewalAnswer?> RenewThroughPeerAsync(IReadOnlyList<PeerLease> leases, IReadOnlyList<Guid> tokens, CancellationToken cancellationToken);
}
