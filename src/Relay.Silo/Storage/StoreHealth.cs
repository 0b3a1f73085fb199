using Npgsql;
using Relay.Silo.Snapshots;

namespace Relay.Silo.Storage;

/// <summary>
/// Whether this silo reaches the store directly: a writable PostgreSQL that answers. Known from a light question every
/// <see cref="Interval"/>, asked at once when an operation says that it failed (<see cref="Suspect"/>); a store that neither answers
/// nor refuses counts as gone after <see cref="Silence"/>. Safe for concurrent use.
/// </summary>
internal sealed partial class StoreHealth : BackgroundService
{
    /// <summary>How often the store is asked.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(500);

    /// <summary>
    /// How long an answer may take. Counted in <see cref="Tick"/>s that this process really saw: time in which the process itself did
    /// not run (stopped, starved) is not the store's silence.
    /// </summary>
    public static readonly TimeSpan Silence = TimeSpan.FromMilliseconds(1500);

    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(250);

    private readonly IStoreProbe _probe;
    private readonly TimeProvider _time;
    private readonly ILogger<StoreHealth> _logger;
    private readonly Wakeup _wakeup = new();
    private readonly Lock _lock = new();
    private CancellationTokenSource _outage = new();
    private TaskCompletionSource _reachable = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile State _state;
    private bool _disposed;

    /// <param name="reachable">What the start has found out.</param>
    public StoreHealth(IStoreProbe probe, bool reachable, TimeProvider time, ILogger<StoreHealth> logger)
    {
        _probe = probe;
        _time = time;
        _logger = logger;
        _state = new State(reachable, time.GetUtcNow(), null);
        if (reachable)
        {
            _reachable.SetResult();
        }
        else
        {
            OutageThreads.Begin();
            _outage.Cancel();
        }
    }

    /// <summary>Raised after <see cref="Reachable"/> changed, on the probing task: quick, no I/O awaited.</summary>
    public event Action? Changed;

    public bool Reachable => _state.Reachable;

    /// <summary>Since when it is as <see cref="Reachable"/> says.</summary>
    public DateTimeOffset Since => _state.Since;

    /// <summary>How long the store has been reachable after an outage; null: it has never been away, or it is.</summary>
    public TimeSpan? BackFor => _state is { Reachable: true, ByTimestamp: { } at } ? _time.GetElapsedTime(at) : null;

    /// <summary>
    /// Cancelled while the store is out of reach: what waits for an answer of the store gives up on it at once, and not when the
    /// driver would. Take it anew for every operation.
    /// </summary>
    public CancellationToken Outage
    {
        get
        {
            lock (_lock)
                return _outage.Token;
        }
    }

    /// <summary>Completes when the store is reachable.</summary>
    public Task WhenReachableAsync(CancellationToken cancellationToken)
    {
        lock (_lock)
            return _reachable.Task.WaitAsync(cancellationToken);
    }

    /// <summary>An operation failed: the store is asked now. Only the answer to that decides.</summary>
    public void Suspect(Exception exception)
    {
        if (StoreErrors.IsOutage(exception))
            _wakeup.Set();
    }

    /// <summary>
    /// Runs an operation of the store and waits for it no longer than the store is there. What it still does when it was given up
    /// nobody sees: it must touch nothing that its caller disposes or reuses.
    /// </summary>
    /// <exception cref="StoreUnavailableException">The store is out of reach, or has become so before it answered.</exception>
    public async Task<T> RunAsync<T>(Func<CancellationToken, Task<T>> operation, CancellationToken cancellationToken)
    {
        var outage = Outage;
        if (outage.IsCancellationRequested)
            throw new StoreUnavailableException();
        using var bound = new StoreBound(cancellationToken, outage);
        var running = operation(bound.Token);
        try
        {
            return await running.WaitAsync(outage);
        }
        catch (OperationCanceledException e) when (outage.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            _ = running.ContinueWith(static r => _ = r.Exception, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
            throw new StoreUnavailableException(inner: e);
        }
        catch (Exception e) when (StoreErrors.IsOutage(e))
        {
            Suspect(e);
            throw new StoreUnavailableException(inner: e);
        }
    }

    /// <inheritdoc cref="RunAsync{T}"/>
    public Task RunAsync(Func<CancellationToken, Task> operation, CancellationToken cancellationToken) =>
        RunAsync(
            async cancellation =>
            {
                await operation(cancellation);
                return true;
            },
            cancellationToken);

    /// <summary>Asks once and waits for the verdict; for what must know now. Not while the service runs.</summary>
    internal async Task AskAsync(CancellationToken cancellationToken)
    {
        using var give = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var answer = _probe.AskAsync(give.Token);
        using (var timer = new PeriodicTimer(Tick, _time))
        {
            for (var waited = TimeSpan.Zero; waited < Silence && !answer.IsCompleted; waited += Tick)
            {
                using var tick = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
                var next = timer.WaitForNextTickAsync(tick.Token).AsTask();
                await Task.WhenAny(answer, next);
                await tick.CancelAsync();
                await next.ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
            }
        }

        cancellationToken.ThrowIfCancellationRequested();
        if (!answer.IsCompleted)
        {
            // Not waited for: a connection into a black hole may take its time even to be given up.
            _ = answer.ContinueWith(static a => _ = a.Exception, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
            _ = give.CancelAsync();
            Set(reachable: false, "it does not answer");
        }
        else if (answer.Exception?.GetBaseException() is { } failure)
        {
            Set(reachable: false, failure is PostgresException { MessageText: var text } ? text : failure.Message);
        }
        else
        {
            Set(reachable: answer.IsCompletedSuccessfully, "");
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            while (true)
            {
                await AskAsync(stoppingToken);
                await _wakeup.WaitAsync(Interval, _time, stoppingToken);
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
        }
    }

    private void Set(bool reachable, string reason)
    {
        CancellationTokenSource? ended = null;
        lock (_lock)
        {
            if (_state.Reachable == reachable || _disposed)
                return;
            _state = new State(reachable, _time.GetUtcNow(), reachable ? _time.GetTimestamp() : null);
            if (reachable)
            {
                // The former source is left to whoever still holds its token: without a timer it owns nothing.
                _outage = new CancellationTokenSource();
                _reachable.TrySetResult();
            }
            else
            {
                ended = _outage;
                _reachable = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            }
        }

        if (reachable)
        {
            LogBack(_logger);
            OutageThreads.End();
        }
        else
        {
            LogLost(_logger, reason);
            OutageThreads.Begin();
        }

        _ = ended?.CancelAsync();
        Changed?.Invoke();
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        base.Dispose();
        lock (_lock)
        {
            if (_disposed)
                return;
            _disposed = true;
            if (!_state.Reachable)
                OutageThreads.End();
        }
    }

    private sealed record State(bool Reachable, DateTimeOffset Since, long? ByTimestamp);

    [LoggerMessage(2020, LogLevel.Warning, "store lost: {Reason}")]
    private static partial void LogLost(ILogger logger, string reason);

    [LoggerMessage(2021, LogLevel.Information, "store back")]
    private static partial void LogBack(ILogger logger);
}
