using Relay.Protocol.Tunnel;
using Relay.Silo.Snapshots;
using Relay.Silo.Storage;

namespace Relay.Silo.Connectors;

/// <summary>
/// Has the connectors that are attached here dial the hosts of their sockets' pools, and everything that failed before, every few
/// seconds; and keeps what is known in step with the other silos. One host alone is not checked until it fails: there is no choice to
/// make. Nor are UDP's, where a check tells next to nothing and every datagram reaches the service. Bounded: at most <see cref="MaxChecks"/> dials a round, a few at a time.
/// </summary>
internal sealed partial class TargetChecks(
    ConnectorTunnels tunnels, SnapshotCell snapshots, PathHealth health, FailingTargetStore store, DatabaseSignals signals, TimeProvider time, ILogger<TargetChecks> logger) : BackgroundService
{
    /// <summary>How long a host that is well again may wait for its next session, and an idle one that fails is not noticed.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(3);

    /// <summary>What does not answer within this is out.</summary>
    public TimeSpan Deadline { get; init; } = TimeSpan.FromSeconds(2);

    private const int MaxChecks = 512;
    private static readonly ParallelOptions SideBySide = new() { MaxDegreeOfParallelism = 16 };
    private readonly Wakeup _wakeup = new();

    public override Task StartAsync(CancellationToken cancellationToken)
    {
        health.Learnt += _wakeup.Set;
        signals.TargetsChanged += _wakeup.Set;
        return base.StartAsync(cancellationToken);
    }

    public override Task StopAsync(CancellationToken cancellationToken)
    {
        health.Learnt -= _wakeup.Set;
        signals.TargetsChanged -= _wakeup.Set;
        return base.StopAsync(cancellationToken);
    }

    /// <summary>One round of checks.</summary>
    internal Task CheckAsync(CancellationToken cancellationToken) =>
        Parallel.ForEachAsync(Due().Take(MaxChecks), SideBySide, async (due, _) => await CheckAsync(due.Tunnel, due.Target, cancellationToken));

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var checkedAt = time.GetTimestamp();
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await _wakeup.WaitAsync(Interval, time, stoppingToken);
                await ExchangeAsync(stoppingToken);
                if (time.GetElapsedTime(checkedAt) < Interval)
                    continue;
                await CheckAsync(stoppingToken);
                checkedAt = time.GetTimestamp();
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                LogFailed(logger, e.Message);
            }
        }
    }

    private IEnumerable<(ConnectorTunnel Tunnel, StreamTarget Target)> Due()
    {
        foreach (var tunnel in tunnels.Attached)
        {
            var connector = tunnel.Connector.ConnectorId;
            var pools = snapshots.Find(tunnel.Connector.OrganizationId)?.Sockets.Values
                .Where(s => s.Target is { Kind: not SocketKind.Udp, Hosts.Count: > 1 } && s.Connectors.Any(c => c.Id == connector))
                .SelectMany(s => s.Target!.Hosts) ?? [];
            var failing = health.Failing(connector).Select(f => StreamTarget.TryParseKey(f.Target, out var target) ? target : null).OfType<StreamTarget>();
            foreach (var target in pools.Concat(failing).Distinct())
                yield return (tunnel, target);
        }
    }

    private async Task CheckAsync(ConnectorTunnel tunnel, StreamTarget target, CancellationToken cancellationToken)
    {
        try
        {
            await tunnel.CheckAsync(target, Deadline, cancellationToken);
            health.Succeeded(tunnel.Connector.ConnectorId, target);
        }
        catch (StreamOpenException e)
        {
            // A tunnel that is on its way out says nothing about its targets.
            if (e.Error is not StreamOpenError.Failed and not StreamOpenError.NotAttached)
            {
                health.Failed(tunnel.Connector.ConnectorId, target, e);
                LogFailing(logger, tunnel.Connector.Name, target.Address, e.Message);
            }
        }
    }

    private async Task ExchangeAsync(CancellationToken cancellationToken)
    {
        var learnt = health.Pending();
        try
        {
            health.Share(await store.ExchangeAsync(learnt, cancellationToken), learnt);
        }
        catch (Exception e) when (StoreErrors.IsOutage(e))
        {
            // What this silo knows it goes by; the others learn it later, or by themselves.
        }
    }

    [LoggerMessage(3601, LogLevel.Information, "a target does not answer")]
    private static partial void LogFailing(ILogger logger, string connector, string target, string cause);

    [LoggerMessage(3602, LogLevel.Error, "checking targets failed: {Reason}")]
    private static partial void LogFailed(ILogger logger, string reason);
}
