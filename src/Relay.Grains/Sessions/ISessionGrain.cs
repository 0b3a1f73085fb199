using Orleans;
using Orleans.Concurrency;

namespace Relay.Grains.Sessions;

/// <summary>
/// What is happening in one session. Key: the session's id ("D" form). The silo that owns the session keeps its truth
/// (registry, table, recordings): when this grain is lost, the owner's next report makes it anew.
/// </summary>
[Alias("relay.session")]
public interface ISessionGrain : IGrainWithStringKey
{
    /// <summary>How often the owner repeats <see cref="StartAsync"/>; without it for three times as long, the session is presumed lost.</summary>
    static readonly TimeSpan ReportEvery = TimeSpan.FromSeconds(30);

    /// <summary>The owner reports a session, at its start and every <see cref="ReportEvery"/> after. Idempotent.</summary>
    /// <param name="start">Who, what, where.</param>
    /// <param name="owner">Called back when the session must end.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>A kill that arrived before this report: the owner must obey it. Null: go on.</returns>
    [Alias("start")]
    [ResponseTimeout("00:00:03")]
    Task<SessionKill?> StartAsync(SessionStart start, ISessionObserver owner, CancellationToken cancellationToken);

    /// <summary>Counters, whole and not as differences, so that a repeated or reordered report does no harm.</summary>
    [Alias("progress")]
    [ResponseTimeout("00:00:03")]
    Task ProgressAsync(SessionProgress progress, CancellationToken cancellationToken);

    /// <summary>Ends the session from anywhere: tells the owner. Does not wait for the owner's last byte.</summary>
    [Alias("kill")]
    [ResponseTimeout("00:00:04")]
    Task<SessionKillOutcome> KillAsync(SessionKill kill, CancellationToken cancellationToken);

    /// <summary>The session is over. Idempotent.</summary>
    [Alias("end")]
    [ResponseTimeout("00:00:03")]
    Task EndAsync(SessionEnd end, CancellationToken cancellationToken);

    /// <summary>What is known; null when nobody has reported the session to this activation.</summary>
    [Alias("describe")]
    [AlwaysInterleave]
    [ResponseTimeout("00:00:03")]
    Task<SessionStatus?> DescribeAsync(CancellationToken cancellationToken);
}

/// <summary>The owning silo's side of a session.</summary>
[Alias("relay.session.observer")]
public interface ISessionObserver : IGrainObserver
{
    /// <summary>The session must end now. Idempotent; unknown sessions are none of the caller's business.</summary>
    /// <returns>False when the owner has no such session any more.</returns>
    [Alias("end-session")]
    [AlwaysInterleave]
    [ResponseTimeout("00:00:02")]
    Task<bool> EndSessionAsync(SessionKill kill, CancellationToken cancellationToken);
}
