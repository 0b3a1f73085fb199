using Microsoft.Extensions.Logging;
using Orleans;
using Relay.GrainHost.Activations;
using Relay.GrainHost.Calls;
using Relay.GrainHost.Links;
using Relay.GrainHost.Membership;
using Relay.GrainHost.Observers;
using Relay.GrainHost.Serialization;
using Relay.GrainHost.Turns;
using Relay.GrainHost.Types;

namespace Relay.GrainHost.Hosting;

/// <summary>This process as a host of grains. Safe for concurrent use. Dispose it when it has stopped.</summary>
public sealed partial class GrainSilo : ILocalSilo, IAsyncDisposable
{
    private readonly GrainHostOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CallRouter _router;
    private readonly MembershipAgent _membership;
    private readonly FailureDetector _detector;
    private readonly CancellationTokenSource _stopping = new();
    private readonly List<Task> _loops = [];
    private ITimer? _ticker;
    private long _lastTick;
    private long _collectAt;
    private volatile bool _paused;
    private int _ticking;
    private int _evicted;

    /// <summary>Finds the grains. Nothing runs until <see cref="StartAsync"/>.</summary>
    /// <exception cref="NotSupportedException">A grain interface or message cannot be hosted; the message says which and why.</exception>
    public GrainSilo(GrainHostOptions options, IMembershipTable table, ISiloTransport transport, IServiceProvider services, TimeProvider time, ILogger<GrainSilo> logger)
    {
        ArgumentNullException.ThrowIfNull(options);
        _options = options;
        _time = time;
        _logger = logger;
        var clock = new CoarseClock(time);
        CallRouter? router = null;
        var types = new GrainTypes(options.GrainAssemblies, (known, type) =>
            (Codec)Activator.CreateInstance(typeof(ReferenceCodec<>).MakeGenericType(type), (Func<CallRouter>)(() => router!), known)!);
        router = _router = new CallRouter(types, this, clock, options.CallTimeout);
        _membership = new MembershipAgent(options, this, table, logger);
        _router.View = () => _membership.View;
        _router.Catalog = new GrainCatalog(options, _router, services, time, logger);
        _router.Observers = new ObserverTable(options, _router, this, time, logger);
        _router.Links = new SiloLinks(options, transport, this, _router, time, logger)
        {
            CheckPeer = _membership.CheckPeerAsync,
            Gossiped = () => _ = _membership.OnGossipAsync(_stopping.Token),
            Hears = incarnation => _detector!.Hears(incarnation),
            Lost = peer => _ = _detector!.SuspectAsync(peer, _stopping.Token),
        };
        _router.StoodStill = () => _paused || _router.Clock.SinceUpdate > SuspiciousPause;
        _detector = new FailureDetector(options, _membership, _router.Links, this, clock, time, logger);
        GrainFactory = _router.Factory = new GrainFactory(_router, () => _router.Observers);
        _membership.Changed += OnMembershipChanged;
        _membership.TableWritten += () => _router.Links.Gossip(_membership.View.Active.Where(m => !IsLocal(m)));
        _membership.Evicted += OnEvicted;
    }

    /// <summary>Raised once when the others have declared this silo dead: it hosts nothing any more, and the process should end.</summary>
    public event Action? Evicted;

    /// <inheritdoc/>
    public string Address => _options.Address;

    /// <inheritdoc/>
    public Guid Incarnation { get; } = Guid.NewGuid();

    /// <summary>Makes references to grains and observers. Calls fail until the silo has started.</summary>
    public IGrainFactory GrainFactory { get; }

    /// <summary>Which silos there are.</summary>
    public IMembership Membership => _membership;

    /// <summary>Grain activations in this silo.</summary>
    public int ActivationCount => _router.Catalog.Count;

    /// <summary>Calls that wait or run in them.</summary>
    public int LiveCallCount => _router.Catalog.LiveRequests;

    /// <summary>A gap in this process's own clock ticks after which others may have declared it dead.</summary>
    internal TimeSpan SuspiciousPause { get; init; } = TimeSpan.FromSeconds(2);

    internal MembershipAgent Agent => _membership;

    internal SiloLinks Links => _router.Links;

    internal CoarseClock Clock => _router.Clock;

    internal FailureDetector Detector => _detector;

    internal bool StoodStill => _router.StoodStill();

    internal GrainTypes Types => _router.Types;

    /// <summary>Joins the membership. Grains can be called from here on; other silos place none here until <see cref="ActivateAsync"/>.</summary>
    /// <exception cref="InvalidOperationException">The options are not valid; every failure is listed.</exception>
    public async Task JoinAsync(CancellationToken cancellationToken)
    {
        if (_options.Validate() is { Count: > 0 } errors) throw new InvalidOperationException("The grain host's options are not valid: " + string.Join(" ", errors));
        _router.Clock.Update();
        _lastTick = _time.GetTimestamp();
        _ticker ??= _time.CreateTimer(static silo => ((GrainSilo)silo!).Tick(), this, CoarseClock.Step, CoarseClock.Step);
        await _membership.JoinAsync(cancellationToken).ConfigureAwait(false);
        if (_loops.Count > 0) return;
        _loops.Add(LoopAsync(_options.RefreshInterval, _membership.TryRefreshAsync));
        _loops.Add(LoopAsync(_options.HeartbeatInterval, _membership.HeartbeatAsync));
        _loops.Add(LoopAsync(_options.ProbeInterval, _detector.RoundAsync));
    }

    /// <summary>What was once read of the membership table, for <see cref="IMembership.Members"/> until it can be read. Before <see cref="JoinAsync"/>; no grain is placed by it.</summary>
    public void Remember(IReadOnlyCollection<SiloMember> members) => _membership.Remember(members);

    internal void ReportNotJoined(Exception exception) => LogNotJoined(exception.Message);

    /// <summary>Opens this silo to grains of the others. Its listener must be up.</summary>
    public Task ActivateAsync(CancellationToken cancellationToken) => _membership.ActivateAsync(cancellationToken);

    /// <summary><see cref="JoinAsync"/> and <see cref="ActivateAsync"/>.</summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await JoinAsync(cancellationToken).ConfigureAwait(false);
        await ActivateAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Serves a link that another silo has dialled, until it ends. Disposes <paramref name="stream"/>. Does not throw for what the peer does.</summary>
    /// <param name="stream">Duplex, authenticated by the caller.</param>
    /// <param name="peerName">The name in the peer's certificate, compared with its row in the membership table; empty when nothing was proved.</param>
    /// <param name="cancellationToken">Ends the link.</param>
    public Task AcceptAsync(Stream stream, string peerName, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(stream);
        ArgumentNullException.ThrowIfNull(peerName);
        return _router.Links.AcceptAsync(stream, peerName, cancellationToken);
    }

    /// <summary>
    /// Says that this silo leaves and ends its activations (their grains go to other silos at the next call); links and calls to others
    /// go on until <see cref="StopAsync"/>.
    /// </summary>
    public async Task DrainAsync(CancellationToken cancellationToken)
    {
        await _membership.BeginLeaveAsync(cancellationToken).ConfigureAwait(false);
        await _router.Catalog.StopAsync("The silo shuts down.").WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Leaves the membership, ends the activations (their grains go to other silos at the next call), closes the links. Best effort within <see cref="GrainHostOptions.StopTimeout"/>.</summary>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(_options.StopTimeout, _time);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        try
        {
            if (_evicted == 0) await _membership.BeginLeaveAsync(linked.Token).WaitAsync(linked.Token).ConfigureAwait(false);
            await _router.Catalog.StopAsync("The silo stops.").WaitAsync(linked.Token).ConfigureAwait(false);
            if (_evicted == 0) await _membership.LeaveAsync(linked.Token).WaitAsync(linked.Token).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            // The others find out by their probes.
            LogLeftInHaste(e.Message);
        }

        await _stopping.CancelAsync().ConfigureAwait(false);
        _router.Links.Stop();
        await Task.WhenAll(_loops).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (_ticker is { } ticker) await ticker.DisposeAsync().ConfigureAwait(false);
    }

    /// <summary>Ends at once, as a crash would: no farewell to grains or silos.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync().ConfigureAwait(false);
        _router.Links.Stop();
        if (_ticker is { } ticker) await ticker.DisposeAsync().ConfigureAwait(false);
        await Task.WhenAll(_loops).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _membership.Dispose();
    }

    private bool IsLocal(SiloMember member) => member.Incarnation == Incarnation && member.Address == Address;

    private void Tick()
    {
        // A slow round must not overlap the next.
        if (Interlocked.Exchange(ref _ticking, 1) != 0) return;
        try
        {
            if (_time.GetElapsedTime(_lastTick) > SuspiciousPause)
            {
                // The process stood still: others may have given it up, and it must not go on as if nothing had been.
                _paused = true;
                LogPaused(_time.GetElapsedTime(_lastTick));
                _ = LookAfterPauseAsync();
            }

            _router.Clock.Update();
            var now = _router.Clock.Now;

            _lastTick = _time.GetTimestamp();
            _router.Catalog.Expire(now);
            _router.Observers.Expire(now);
            _router.Links.Expire(now);
            if (now < _collectAt) return;
            _collectAt = now + CoarseClock.Steps(TimeSpan.FromSeconds(1));
            _router.Catalog.CollectIdle(now);
            _router.Observers.Collect();
        }
        finally
        {
            Volatile.Write(ref _ticking, 0);
        }
    }

    // Without the store nobody can have declared anybody dead since; the last view stays, as it does for the others.
    private async Task LookAfterPauseAsync()
    {
        try
        {
            await _membership.TryRefreshAsync(_stopping.Token).ConfigureAwait(false);
            _paused = false;
        }
        catch (OperationCanceledException)
        {
            // The silo stops; it takes no calls any more.
        }
    }

    private async Task LoopAsync(TimeSpan period, Func<CancellationToken, Task> round)
    {
        using var timer = new PeriodicTimer(period, _time);
        while (await timer.WaitForNextTickAsync(_stopping.Token).ConfigureAwait(false))
        {
            try
            {
                await round(_stopping.Token).ConfigureAwait(false);
            }
            catch (Exception e) when (!_stopping.IsCancellationRequested)
            {
                LogRoundFailed(e.Message);
            }
        }
    }

    private void OnMembershipChanged(IMembership membership)
    {
        var view = _membership.View;
        var gone = _membership.Snapshot.Members.Where(m => m.Status == MemberStatus.Dead).Select(m => (m.Address, m.Incarnation)).ToHashSet();
        var known = _membership.Snapshot.Members.Select(m => (m.Address, m.Incarnation)).ToHashSet();
        _router.Links.CloseGone((address, incarnation) => gone.Contains((address, incarnation)) || !known.Contains((address, incarnation)));
        _router.Catalog.Yield(view);
    }

    private void OnEvicted()
    {
        if (Interlocked.Exchange(ref _evicted, 1) != 0) return;
        LogEvicted(Address);
        _ = _router.Catalog.StopAsync("The silo was declared dead.");
        _router.Links.Stop();
        Evicted?.Invoke();
    }
}
