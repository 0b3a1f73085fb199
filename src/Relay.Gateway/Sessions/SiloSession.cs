using Relay.Gateway.Grid;

namespace Relay.Gateway.Sessions;

/// <summary>
/// One session as the silo that opened it knows it, whatever it carries. The first reason to end wins. Safe for concurrent use.
/// </summary>
[System.Diagnostics.CodeAnalysis.SuppressMessage("Design", "CA1001", Justification = "Whoever carries the session may still look at the token; a source without timer or wait handle holds nothing to dispose.")]
internal abstract class SiloSession(Guid id, SiloLink silo, ISiloFallback fallback, DateTimeOffset? endsAt, TimeProvider time)
{
    private readonly TaskCompletionSource<SessionEnd> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _over = new();
    private long _bytesUp;
    private long _bytesDown;

    public Guid Id { get; } = id;

    /// <summary>The silo that opened it: the only one to be asked about it.</summary>
    public SiloLink Silo { get; } = silo;

    /// <summary>Who takes its records when <see cref="Silo"/> does not.</summary>
    public ISiloFallback Fallback { get; } = fallback;

    /// <summary>When policy ends it; null: no limit.</summary>
    public DateTimeOffset? EndsAt { get; } = endsAt;

    public TimeProvider Time { get; } = time;

    /// <summary>Completes with the reason as soon as something ends the session; never faults.</summary>
    public Task<SessionEnd> Ended => _ended.Task;

    /// <summary>Cancelled with <see cref="Ended"/>.</summary>
    public CancellationToken Over => _over.Token;

    /// <summary>Payload from the user, over all channels.</summary>
    public long BytesUp => Interlocked.Read(ref _bytesUp);

    /// <summary>Payload to the user, over all channels.</summary>
    public long BytesDown => Interlocked.Read(ref _bytesDown);

    public void AddUp(long bytes) => Interlocked.Add(ref _bytesUp, bytes);

    public void AddDown(long bytes) => Interlocked.Add(ref _bytesDown, bytes);

    /// <summary>Begins the end; whoever runs the session does the rest. Only the first call counts.</summary>
    public void End(SessionEnd end)
    {
        if (_ended.TrySetResult(end))
        {
            // What hangs on the token does not run on the caller's time.
            _ = _over.CancelAsync();
        }
    }

    /// <summary>Ends the session when policy's time is over. Returns then, or when it is cancelled; at once without a limit.</summary>
    public async Task EndInTimeAsync(CancellationToken cancellationToken)
    {
        if (EndsAt is not { } end)
        {
            return;
        }

        try
        {
            TimeSpan left;
            while ((left = end - Time.GetUtcNow()) > TimeSpan.Zero)
            {
                await Task.Delay(left < TimeSpan.FromDays(1) ? left : TimeSpan.FromDays(1), Time, cancellationToken);
            }

            End(new SessionEnd("time limit reached", "The time that policy gives this session is over."));
        }
        catch (OperationCanceledException)
        {
            // The session ended before.
        }
    }
}
