using Orleans;
using Orleans.Concurrency;

namespace Relay.Grains.Sessions;

/// <summary>Reentrant: a kill waits for the owner while the owner reports its end here.</summary>
[GrainType("session")]
[Reentrant]
internal sealed class SessionGrain(TimeProvider time) : Grain, ISessionGrain
{
    private static readonly TimeSpan LostAfter = 3 * ISessionGrain.ReportEvery;

    private SessionStart? _start;
    private ISessionObserver? _owner;
    private SessionProgress? _progress;
    private SessionKill? _kill;
    private SessionEnd? _end;
    private long _reportedAt;

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        _reportedAt = time.GetTimestamp();
        this.RegisterGrainTimer(LeaveWhenForgotten, ISessionGrain.ReportEvery, ISessionGrain.ReportEvery);
        return Task.CompletedTask;
    }

    public Task<SessionKill?> StartAsync(SessionStart start, ISessionObserver owner, CancellationToken cancellationToken)
    {
        _start = start;
        _owner = owner;
        _reportedAt = time.GetTimestamp();
        return Task.FromResult(_end is null ? _kill : null);
    }

    public Task ProgressAsync(SessionProgress progress, CancellationToken cancellationToken)
    {
        if (_progress is null || progress.Sequence > _progress.Sequence) _progress = progress;
        _reportedAt = time.GetTimestamp();
        return Task.CompletedTask;
    }

    public async Task<SessionKillOutcome> KillAsync(SessionKill kill, CancellationToken cancellationToken)
    {
        if (_end is not null) return SessionKillOutcome.AlreadyEnded;
        _kill ??= kill;
        if (_owner is not { } owner) return SessionKillOutcome.Unknown;
        try
        {
            return await owner.EndSessionAsync(kill, cancellationToken) ? SessionKillOutcome.Told : SessionKillOutcome.AlreadyEnded;
        }
        catch (Exception e) when (e is TimeoutException or Orleans.Runtime.OrleansException)
        {
            // The owner may be gone with its session; the table and its notification are the second way.
            return SessionKillOutcome.OwnerUnreachable;
        }
    }

    public Task EndAsync(SessionEnd end, CancellationToken cancellationToken)
    {
        _end ??= end;
        _owner = null;
        if (end.Progress is { } last && (_progress is null || last.Sequence >= _progress.Sequence)) _progress = last;
        return Task.CompletedTask;
    }

    public Task<SessionStatus?> DescribeAsync(CancellationToken cancellationToken) =>
        Task.FromResult(_start is null ? null : new SessionStatus(_start, _progress, _kill, _end));

    private Task LeaveWhenForgotten()
    {
        if (time.GetElapsedTime(_reportedAt) > LostAfter) DeactivateOnIdle();
        return Task.CompletedTask;
    }
}
