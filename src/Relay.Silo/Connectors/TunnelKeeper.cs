using Npgsql;
using Relay.Protocol.Tunnel;

namespace Relay.Silo.Connectors;

/// <summary>
/// Keeps what tunnels stand on: renews their leases every 10 s, and closes a tunnel whose lease could have ended by our own monotonic clock, whatever the store says. Safe for concurrent use.
/// </summary>
internal sealed partial class TunnelKeeper : BackgroundService
{
    private static readonly TimeSpan Tick = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan RenewEvery = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan SeenEvery = TimeSpan.FromSeconds(30);

    // Closed this long before the lease can have ended, so that no two can be open at once.
    private static readonly TimeSpan SafetyMargin = TimeSpan.FromSeconds(30);

    private readonly ConnectorTunnels _tunnels;
    private readonly ConnectorLeaseStore _leases;
    private readonly ConnectorRecords _records;
    private readonly IConnectorDirectory _directory;
    private readonly TimeProvider _time;
    private readonly ILogger<TunnelKeeper> _logger;
    private bool _storeLost;

    public TunnelKeeper(ConnectorTunnels tunnels, ConnectorLeaseStore leases, ConnectorRecords records, IConnectorDirectory directory, TimeProvider time, ILogger<TunnelKeeper> logger)
    {
        _tunnels = tunnels;
        _leases = leases;
        _records = records;
        _directory = directory;
        _time = time;
        _logger = logger;
    }

    /// <summary>Lives with one tunnel until its connection is over. Never throws.</summary>
    public async Task RunAsync(ConnectorTunnel tunnel)
    {
        _directory.Attached(tunnel.Lease);
        using (tunnel)
        {
            // From the moment the agent takes no more streams another agent may take over.
            var drained = await tunnel.DrainedAsync();
            await ReleaseAsync(tunnel);
            if (drained)
            {
                LogDraining(tunnel.Connector.Name, tunnel.Epoch, tunnel.OpenStreams);
                await tunnel.Closed;
            }
        }

        LogDetached(tunnel.Connector.Name, tunnel.Connector.ConnectorId, tunnel.Epoch, tunnel.CloseCode ?? "closed");
    }

    /// <summary>Takes the tunnel off the registry and gives its lease up. Never throws: at worst the lease lapses.</summary>
    public async Task ReleaseAsync(ConnectorTunnel tunnel)
    {
        _tunnels.Remove(tunnel);
        _directory.Detached(tunnel.Connector.ConnectorId, tunnel.Epoch);
        try
        {
            await _leases.ReleaseAsync(tunnel.Connector.ConnectorId, tunnel.Epoch, CancellationToken.None);
        }
        catch (Exception e) when (e is NpgsqlException or ObjectDisposedException)
        {
            LogNotReleased(tunnel.Connector.Name, e.Message);
        }
    }

    /// <summary>One turn of the loop: what is due now.</summary>
    internal async Task TickAsync(bool renew, bool seen, CancellationToken cancellationToken)
    {
        var tunnels = _tunnels.Attached;
        if (tunnels.Count == 0)
            return;
        try
        {
            if (renew)
                await RenewAsync(tunnels, cancellationToken);
            if (seen)
                await _records.SeenAsync([.. tunnels.Select(t => t.Connector.ConnectorId)], cancellationToken);
            if (_storeLost)
                LogStoreBack();
            _storeLost = false;
        }
        catch (NpgsqlException e)
        {
            // Nothing can have been revoked: a revocation needs a write.
            if (!_storeLost)
                LogStoreLost(e.Message);
            _storeLost = true;
        }

        CloseLapsed(tunnels);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Tick, _time);
        var renewed = _time.GetTimestamp();
        var seen = renewed;
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            var renewNow = _time.GetElapsedTime(renewed) >= RenewEvery;
            var seenNow = _time.GetElapsedTime(seen) >= SeenEvery;
            try
            {
                await TickAsync(renewNow, seenNow, stoppingToken);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                LogTickFailed(e);
            }

            if (renewNow)
                renewed = _time.GetTimestamp();
            if (seenNow)
                seen = _time.GetTimestamp();
        }
    }

    private async Task RenewAsync(IReadOnlyCollection<ConnectorTunnel> tunnels, CancellationToken cancellationToken)
    {
        var asked = _time.GetTimestamp();
        var held = await _leases.RenewAsync([.. tunnels.Select(t => (t.Connector.ConnectorId, t.Epoch))], ConnectorLeaseStore.HardTtl, cancellationToken);
        foreach (var tunnel in tunnels)
        {
            if (held.Contains(tunnel.Connector.ConnectorId))
                tunnel.RenewedAt = asked;
            else if (!tunnel.Draining)
                _ = CloseAsync(tunnel, AttachCodes.Superseded, "the connector was attached anew elsewhere");
        }
    }

    private void CloseLapsed(IReadOnlyCollection<ConnectorTunnel> tunnels)
    {
        foreach (var tunnel in tunnels)
        {
            if (_time.GetElapsedTime(tunnel.RenewedAt) >= ConnectorLeaseStore.HardTtl - SafetyMargin)
                _ = CloseAsync(tunnel, AttachCodes.LeaseLost, "the lease could not be renewed in time");
        }
    }

    private Task CloseAsync(ConnectorTunnel tunnel, string code, string message)
    {
        LogClosing(tunnel.Connector.Name, tunnel.Epoch, code);
        _tunnels.Remove(tunnel);
        return tunnel.CloseAsync(code, message);
    }
}
