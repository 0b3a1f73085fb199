using Orleans;
using Orleans.Runtime;
using Relay.GrainHost.Calls;
using Relay.GrainHost.Timers;
using Relay.GrainHost.Turns;
using Relay.GrainHost.Types;

namespace Relay.GrainHost.Activations;

/// <summary>
/// One grain object, or one observer, with its turns: admits calls and ticks by the rules of interleaving, and goes through
/// the life of an activation. Methods marked <i>in a turn</i> are called there only; the others are safe for concurrent use.
/// </summary>
internal sealed class Activation : IGrainContext, IGrainRuntime
{
    private enum Phase
    {
        New,
        Activating,
        Active,
        Deactivating,
        Ended,
    }

    private readonly IActivationOwner _owner;
    private readonly bool _reentrant;
    private readonly RequestList _requests = new();
    private readonly TaskCompletionSource _deactivated = new(TaskCreationOptions.RunContinuationsAsynchronously);

    // Below: in a turn only.
    private readonly Queue<WorkItem> _waiting = new();
    private Phase _phase;
    private DeactivationReason? _leaving;
    private object? _instance;
    private int _running;
    private int _exclusive;
    private int _readers;
    private bool _starting;

    // Guarded by Turns.Sync.
    private readonly HashSet<GrainTimer> _timers = [];
    private bool _closed;

    private int _pruning;
    private long _usedAt;
    private long _keepUntil;

    /// <param name="owner">Who keeps it.</param>
    /// <param name="grainClass">Null for an observer.</param>
    /// <param name="grainId">Which one.</param>
    /// <param name="reentrant">Whether all calls interleave.</param>
    public Activation(IActivationOwner owner, GrainClass? grainClass, GrainId grainId, bool reentrant)
    {
        Class = grainClass;
        _owner = owner;
        _reentrant = reentrant;
        GrainId = grainId;
        _usedAt = owner.Clock.Now;
    }

    public GrainId GrainId { get; }

    /// <summary>Null for an observer.</summary>
    public GrainClass? Class { get; }

    /// <summary>What to dispose with the grain; null before there is one.</summary>
    public IAsyncDisposable? Scope { get; set; }

    public TurnScheduler Turns { get; } = new();

    public object? GrainInstance => _instance;

    public GrainReference GrainReference => _owner.MakeReference(this);

    public IServiceProvider ActivationServices { get; set; } = EmptyServices.Instance;

    public Task Deactivated => _deactivated.Task;

    /// <summary>Calls that are queued or running.</summary>
    public int LiveRequests => _requests.Count;

    /// <summary>Hands over a call. Not queued: it is still the caller's.</summary>
    public EnqueueResult TryEnqueue(Request request)
    {
        bool wake;
        lock (Turns.Sync)
        {
            if (_closed) return EnqueueResult.Closed;
            if (_requests.Count >= _owner.MaxQueuedCalls) return EnqueueResult.Full;
            request.Activation = this;
            _requests.Add(request);
            wake = Turns.AddLocked(request);
        }

        if (wake) Turns.Wake();
        return EnqueueResult.Queued;
    }

    /// <summary>Times out the calls whose deadline has passed.</summary>
    public void Expire(long now)
    {
        if (_requests.Count == 0) return;
        List<Request>? expired;
        lock (Turns.Sync) expired = _requests.TakeExpired(now);
        if (expired is null) return;
        foreach (var request in expired) request.Expire();
    }

    /// <summary>Calls that wait were given up: takes them out of the line.</summary>
    public void Prune()
    {
        if (Interlocked.Exchange(ref _pruning, 1) == 0) Turns.Add(new PruneTurn(this));
    }

    /// <summary>Whether nobody has used it for <paramref name="ticks"/> of the coarse clock.</summary>
    public bool IsIdle(long now, long ticks) =>
        _requests.Count == 0 && now - Volatile.Read(ref _usedAt) >= ticks && now >= Volatile.Read(ref _keepUntil);

    public IGrainFactory GrainFactory => _owner.GrainFactory;

    public void Deactivate(DeactivationReason deactivationReason, CancellationToken cancellationToken = default)
    {
        // From its own turn at once, so that no call that waits already gets in between.
        if (TaskScheduler.Current == Turns) BeginDeactivation(deactivationReason);
        else Turns.Add(new DeactivateTurn(this, deactivationReason));
    }

    public void DelayDeactivation(TimeSpan timeSpan) =>
        Volatile.Write(ref _keepUntil, timeSpan <= TimeSpan.Zero ? 0 : _owner.Clock.After(timeSpan));

    public IGrainTimer RegisterTimer(Func<CancellationToken, Task> callback, GrainTimerCreationOptions options)
    {
        if (TaskScheduler.Current != Turns) throw new InvalidOperationException("Register a timer from within the grain's turn.");
        if (_phase is Phase.Deactivating or Phase.Ended) throw new InvalidOperationException("The activation is ending.");
        var timer = new GrainTimer(this, _owner.Time, _owner.Logger, callback, options);
        lock (Turns.Sync) _timers.Add(timer);
        timer.Change(options.DueTime, options.Period);
        return timer;
    }

    public void Forget(GrainTimer timer)
    {
        lock (Turns.Sync) _timers.Remove(timer);
    }

    public void MarkUsed() => Volatile.Write(ref _usedAt, _owner.Clock.Now);

    /// <summary>In a turn: starts the item, or lets it wait.</summary>
    public void Admit(WorkItem item)
    {
        switch (_phase)
        {
            case not Phase.New when item is Request { IsDropped: true }:
                Release(item);
                break;
            case Phase.Active when _leaving is null && MayStart(item):
                Start(item);
                break;
            case Phase.Ended:
                Release(item);
                item.Redirect();
                break;
            case Phase.New:
                _waiting.Enqueue(item);
                _ = ActivateAsync();
                break;
            default:
                _waiting.Enqueue(item);
                break;
        }
    }

    /// <summary>In a turn: the item's work is done.</summary>
    public void Finish(WorkItem item)
    {
        _running--;
        if (!item.AlwaysInterleave && !_reentrant)
        {
            if (item.ReadOnly) _readers--;
            else _exclusive--;
        }

        Release(item);
        StartWaiting();
    }

    private bool MayStart(WorkItem item) => item.AlwaysInterleave || (_waiting.Count == 0 && HasRoom(item));

    /// <summary>Whether what is running allows the item beside it.</summary>
    private bool HasRoom(WorkItem item) =>
        _reentrant || item.AlwaysInterleave || (_exclusive == 0 && (item.ReadOnly || _readers == 0));

    private void Start(WorkItem item)
    {
        if (!item.TryBegin())
        {
            Release(item);
            return;
        }

        _running++;
        if (!item.AlwaysInterleave && !_reentrant)
        {
            if (item.ReadOnly) _readers++;
            else _exclusive++;
        }

        // A call that ends at once must not start the next from inside its own start: the stack would grow with the queue.
        var outer = _starting;
        _starting = true;
        if (_owner.Resolve(_instance!) is { } instance)
        {
            item.Start(instance);
        }
        else
        {
            item.Fail(new OrleansMessageRejectionException($"The observer {GrainId} does not exist any more."));
            Finish(item);
        }

        _starting = outer;
        if (!outer) StartWaiting();
    }

    private void StartWaiting()
    {
        if (_starting) return;
        _starting = true;
        while (_phase == Phase.Active && _leaving is null && _waiting.TryPeek(out var next) && HasRoom(next)) Start(_waiting.Dequeue());
        _starting = false;
        if (_leaving is { } reason && _phase == Phase.Active && _running == 0) _ = EndAsync(reason);
    }

    private void Release(WorkItem item)
    {
        if (item is not Request request) return;
        MarkUsed();
        lock (Turns.Sync) _requests.Remove(request);
    }

    private async Task ActivateAsync()
    {
        _phase = Phase.Activating;
        try
        {
            _instance = _owner.CreateInstance(this);
            if (_instance is IGrainBase grain)
            {
                using var limit = new CancellationTokenSource(_owner.ActivationTimeout, _owner.Time);
                await grain.OnActivateAsync(limit.Token).WaitAsync(_owner.ActivationTimeout, _owner.Time);
            }
        }
        catch (Exception e)
        {
            await FailAsync(e);
            return;
        }

        _phase = Phase.Active;
        // What may overtake has waited in line until here.
        for (var count = _waiting.Count; count > 0; count--)
        {
            var item = _waiting.Dequeue();
            if (item.AlwaysInterleave && _leaving is null) Start(item);
            else _waiting.Enqueue(item);
        }

        StartWaiting();
    }

    private async Task FailAsync(Exception exception)
    {
        _owner.ActivationFailed(this, exception);
        _leaving = new DeactivationReason(DeactivationReasonCode.ActivationFailed, exception, "The activation failed.");
        var failure = new OrleansException($"The activation of {GrainId} failed: {exception.Message}", exception);
        foreach (var item in _waiting)
        {
            Release(item);
            item.Fail(failure);
        }

        _waiting.Clear();
        await CloseAsync();
    }

    private async Task EndAsync(DeactivationReason reason)
    {
        _phase = Phase.Deactivating;
        StopTimers();
        if (_instance is IGrainBase grain)
        {
            try
            {
                using var limit = new CancellationTokenSource(_owner.DeactivationTimeout, _owner.Time);
                await grain.OnDeactivateAsync(reason, limit.Token).WaitAsync(_owner.DeactivationTimeout, _owner.Time);
            }
            catch (Exception e)
            {
                _owner.DeactivationFailed(this, e);
            }
        }

        await CloseAsync();
    }

    private async Task CloseAsync()
    {
        _phase = Phase.Ended;
        StopTimers();
        // First out of the catalog, then closed: who finds it closed will not find it again.
        _owner.Remove(this);
        lock (Turns.Sync) _closed = true;
        while (_waiting.TryDequeue(out var item))
        {
            Release(item);
            item.Redirect();
        }

        var instance = _instance;
        _instance = null;
        try
        {
            await _owner.DisposeAsync(this, instance);
        }
        catch (Exception e)
        {
            _owner.DeactivationFailed(this, e);
        }

        _deactivated.TrySetResult();
    }

    private void StopTimers()
    {
        GrainTimer[] timers;
        lock (Turns.Sync) timers = [.. _timers];
        foreach (var timer in timers) timer.Dispose();
    }

    private void BeginDeactivation(DeactivationReason reason)
    {
        if (_phase is Phase.Deactivating or Phase.Ended || _leaving is not null) return;
        // A call may have come since the collector looked.
        if (reason.ReasonCode == DeactivationReasonCode.ActivationIdle && (LiveRequests > 0 || _running > 0)) return;
        _leaving = reason;
        if (_phase == Phase.New) _ = CloseAsync();
        else StartWaiting();
    }

    private sealed class PruneTurn(Activation activation) : ITurn
    {
        public void RunTurn()
        {
            Volatile.Write(ref activation._pruning, 0);
            var waiting = activation._waiting;
            for (var count = waiting.Count; count > 0; count--)
            {
                var item = waiting.Dequeue();
                if (item is Request { IsDropped: true }) activation.Release(item);
                else waiting.Enqueue(item);
            }

            // A call that only waited for one of them to go first.
            activation.StartWaiting();
        }
    }

    private sealed class DeactivateTurn(Activation activation, DeactivationReason reason) : ITurn
    {
        public void RunTurn() => activation.BeginDeactivation(reason);
    }

    private sealed class EmptyServices : IServiceProvider
    {
        public static readonly EmptyServices Instance = new();

        public object? GetService(Type serviceType) => null;
    }
}
