using System.Collections.Concurrent;
using Orleans;
using Relay.Grains.Sessions;
using Relay.Silo.Hosting;
using Relay.Silo.Snapshots;

namespace Relay.Silo.Sessions;

/// <summary>
/// Tells the session grains what lives here, so that any silo can see a session and order its end. Nothing depends on it: the table
/// and its notification end sessions too, and a report that fails is made again.
/// </summary>
internal sealed partial class SessionReports : BackgroundService, ISessionObserver
{
    private const int MaxEndings = 4096;
    private static readonly ParallelOptions SideBySide = new() { MaxDegreeOfParallelism = 16 };

    private readonly SessionRegistry _registry;
    private readonly IGrainFactory _grains;
    private readonly SiloIdentity _self;
    private readonly TimeProvider _time;
    private readonly ILogger<SessionReports> _logger;
    private readonly ConcurrentDictionary<Guid, LiveSession> _fresh = new();
    private readonly ConcurrentDictionary<Guid, LiveSession> _ended = new();
    private readonly Wakeup _wakeup = new();
    private long _sequence;

    public SessionReports(SessionRegistry registry, IGrainFactory grains, SiloIdentity self, TimeProvider time, ILogger<SessionReports> logger)
    {
        _registry = registry;
        _grains = grains;
        _self = self;
        _time = time;
        _logger = logger;
        registry.Started += OnStarted;
        registry.Finished += OnFinished;
    }

    public Task<bool> EndSessionAsync(SessionKill kill, CancellationToken cancellationToken) => Task.FromResult(_registry.Kill(kill.SessionId, kill.By));

    public override Task StopAsync(CancellationToken cancellationToken)
    {
        _registry.Started -= OnStarted;
        _registry.Finished -= OnFinished;
        return base.StopAsync(cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        ISessionObserver? observer = null;
        var reported = _time.GetTimestamp();
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await _wakeup.WaitAsync(ISessionGrain.ReportEvery, _time, stoppingToken);
                observer ??= _grains.CreateObjectReference<ISessionObserver>(this);
                await Parallel.ForEachAsync(Drain(_ended), SideBySide, (session, _) => ReportEndAsync(session, stoppingToken));
                var due = _time.GetElapsedTime(reported) >= ISessionGrain.ReportEvery;
                if (due)
                    reported = _time.GetTimestamp();
                var fresh = Drain(_fresh);
                await Parallel.ForEachAsync(due ? _registry.Live() : fresh, SideBySide, (session, _) => ReportAsync(session, observer, stoppingToken));
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                LogFailed(_logger, e.Message);
            }
        }
    }

    private void OnStarted(LiveSession session)
    {
        _fresh[session.Id] = session;
        _wakeup.Set();
    }

    private void OnFinished(LiveSession session)
    {
        _fresh.TryRemove(session.Id, out _);

        // An end that is not told is found out: the grain forgets what nobody reports.
        if (_ended.Count < MaxEndings)
            _ended[session.Id] = session;
        _wakeup.Set();
    }

    private static LiveSession[] Drain(ConcurrentDictionary<Guid, LiveSession> from)
    {
        var sessions = from.Values.ToArray();
        foreach (var session in sessions)
            from.TryRemove(session.Id, out _);
        return sessions;
    }

    private async ValueTask ReportAsync(LiveSession session, ISessionObserver observer, CancellationToken cancellationToken)
    {
        var facts = session.Facts;
        var start = new SessionStart(
            facts.Id, facts.OrganizationId, facts.UserId, facts.Email, facts.SocketId, facts.SocketName, session.ConnectorId ?? Guid.Empty,
            facts.Gateway, _self.Address, _self.Incarnation, facts.StartedAt, session.EndsAt);
        try
        {
            var grain = _grains.GetGrain<ISessionGrain>(facts.Id.ToString("D"));
            if (await grain.StartAsync(start, observer, cancellationToken) is { } kill)
                _registry.Kill(kill.SessionId, kill.By);
            await grain.ProgressAsync(new SessionProgress(Interlocked.Increment(ref _sequence), 1, session.OpenStreams, session.BytesUp, session.BytesDown), cancellationToken);
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            LogFailed(_logger, e.Message);
        }
    }

    private async ValueTask ReportEndAsync(LiveSession session, CancellationToken cancellationToken)
    {
        try
        {
            await _grains.GetGrain<ISessionGrain>(session.Id.ToString("D")).EndAsync(
                new SessionEnd(session.Outcome ?? "", new SessionProgress(Interlocked.Increment(ref _sequence), 0, 0, session.BytesUp, session.BytesDown)), cancellationToken);
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            LogFailed(_logger, e.Message);
        }
    }

    [LoggerMessage(4207, LogLevel.Debug, "a session was not reported to its grain: {Reason}")]
    private static partial void LogFailed(ILogger logger, string reason);
}
