using Relay.Protocol.Tunnel;
using Relay.Silo.Fencing;
using Relay.Silo.History;
using Relay.Silo.Snapshots;
using Relay.Silo.Storage;

namespace Relay.Silo.Sessions;

/// <summary>Obeys kills that were written to the session table, from whichever silo, and clears up after silos that died.</summary>
internal sealed partial class SessionKillWatch(
    SessionRegistry registry, SessionStore store, IStoreThroughPeer peers, DatabaseSignals signals, StoreHealth health, HistoryLog history, SiloFence fence, BootClock clock,
    TimeProvider time, ILogger<SessionKillWatch> logger) : BackgroundService
{
    /// <summary>The longest a lost notification can delay a kill.</summary>
    public static readonly TimeSpan PollInterval = TimeSpan.FromSeconds(1);

    // Dead silos' gateways have this long to bring their sessions elsewhere.
    private static readonly TimeSpan ReapGrace = TimeSpan.FromSeconds(20);

    // Several signs of life missed: nobody is left to declare it dead.
    private static readonly TimeSpan ReapSilence = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan ReapInterval = TimeSpan.FromSeconds(5);
    private readonly Wakeup _wakeup = new();

    public override Task StartAsync(CancellationToken cancellationToken)
    {
        signals.SessionKillRequested += _wakeup.Set;
        return base.StartAsync(cancellationToken);
    }

    public override Task StopAsync(CancellationToken cancellationToken)
    {
        signals.SessionKillRequested -= _wakeup.Set;
        return base.StopAsync(cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var reaped = time.GetTimestamp();
        var failing = false;
        DateTimeOffset? asserted = null;
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await _wakeup.WaitAsync(PollInterval, time, stoppingToken);
                if (!health.Reachable && !peers.IsNeeded)
                    continue;
                if (health.Reachable && health.BackFor is not null && asserted != health.Since)
                {
                    asserted = health.Since;
                    await registry.ReassertAsync(stoppingToken);
                }

                if (registry.Count > 0)
                {
                    foreach (var (sessionId, by) in await (peers.IsNeeded ? peers.KillsAsync(stoppingToken) : store.PendingKillsAsync(stoppingToken)))
                        registry.Kill(sessionId, by);
                }

                if (health.Reachable && time.GetElapsedTime(reaped) > ReapInterval && MayReap())
                {
                    reaped = time.GetTimestamp();
                    if (await store.ReapAsync(ReapGrace, ReapSilence, fence.Heard(clock.Now), stoppingToken) is var count and > 0)
                        LogReaped(logger, count);
                }

                failing = false;
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                if (!failing)
                    LogFailing(logger, e.Message);
                failing = true;
            }
        }
    }

    // After an outage the store knows nobody's signs of life until everybody had time to give one; and what this silo itself has still
    // to deliver may be the true end of what looks abandoned.
    private bool MayReap() => health.BackFor is not { } back || (back > ReapSilence && history.IsDirect);

    [LoggerMessage(4205, LogLevel.Warning, "ended {Count} sessions of silos that are gone")]
    private static partial void LogReaped(ILogger logger, int count);

    [LoggerMessage(4206, LogLevel.Warning, "orders to end sessions cannot be read: {Reason}")]
    private static partial void LogFailing(ILogger logger, string reason);
}
