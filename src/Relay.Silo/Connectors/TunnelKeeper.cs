using Npgsql;
using Relay.Protocol.Tunnel;

namespace Relay.Silo.Connectors;

/// <summary>
/// Keeps what tunnels stand on: renews their leases every 10 s, and closes them when their leases
/// could have ended by our own monotonic clock, or when this silo is cut off from store and majority; neither waits for
/// the store to answer. Safe for concurrent use.
/// </summary>
internal sealed partial class TunnelKeeper : BackgroundService
{
    private static readonly TimeSpan Tick = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan FinishedEvery = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan RenewEvery = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan SeenEvery = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan WatchEvery = TimeSpan.FromSeconds(30);

    // Longer than a renewal takes at worst; by the database's clock, so it only says which leases are worth watching.
    private static readonly TimeSpan NotRenewedFor = TimeSpan.FromMinutes(1);

    private readonly ConnectorTunnels _tunnels;
    private readonly ConnectorLeaseStore _leases;
    private readonly ConnectorRecords _records;
    private readonly IConnectorDirectory _directory;
    private readonly ILeaseRenewals _renewals;
    private readonly ServingRight _right;
    private readonly LeaseWatch _watch;
    private readonly TimeProvider _time;
    private readonly ILogger<TunnelKeeper> _logger;
    private bool _storeLost;

    public TunnelKeeper(
        ConnectorTunnels tunnels, ConnectorLeaseStore leases, ConnectorRecords records, IConnectorDirectory directory, ILeaseRenewals renewals,
        ServingRight right, LeaseWatch watch, TimeProvider time, ILogger<TunnelKeeper> logger)
    {
        _renewals = renewals;
        _right = right;
        _watch = watch;
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
                // An agent that stops leaves room for its successor and may finish beside it; one that moved is still the only one.
                if (await HasMovedAsync(tunnel))
                    await FinishAsync(tunnel);
                else
                    await tunnel.Closed;
            }
        }

        LogDetached(tunnel.Connector.Name, tunnel.Connector.ConnectorId, tunnel.Epoch, tunnel.Lease.AgentInstance, tunnel.Lease.Silo, tunnel.CloseCode ?? "closed");
    }

    /// <summary>Takes the tunnel off the registry and gives its lease up. Never throws: at worst the lease lapses.</summary>
    public async Task ReleaseAsync(ConnectorTunnel tunnel)
    {
        _tunnels.Remove(tunnel);
        _directory.Detached(tunnel.Connector.ConnectorId, tunnel.Epoch);

        // An opening that was sent before and not answered may still be taken by the agent; nobody else's must run by then.
        var (until, now) = (tunnel.DoubtUntil, _right.Now);
        if (until > now)
            await Task.Delay(until - now + TimeSpan.FromMilliseconds(1), _time, CancellationToken.None);
        try
        {
            await _leases.ReleaseAsync(tunnel.Connector.ConnectorId, tunnel.Epoch, CancellationToken.None);
        }
        catch (Exception e) when (e is NpgsqlException or ObjectDisposedException)
        {
            LogNotReleased(tunnel.Connector.Name, e.Message);
        }
    }

    /// <summary>Asks the store what is due now.</summary>
    internal async Task AskStoreAsync(bool renew, bool seen, CancellationToken cancellationToken)
    {
        var tunnels = _tunnels.Attached;
        if (tunnels.Count == 0)
            return;
        var asked = _right.Now;
        if (await _renewals.TurnAsync(tunnels, renew, cancellationToken) is { } turn)
        {
            if (_storeLost)
                LogStoreBack();
            _storeLost = false;
            Apply(tunnels, turn, asked);
        }
        else
        {
            // Nothing can have been revoked: a revocation needs a write.
            if (!_storeLost)
                LogStoreLost();
            _storeLost = true;
        }

        if (!seen || _storeLost)
            return;
        try
        {
            await _records.SeenAsync([.. tunnels.Select(t => t.Connector.ConnectorId)], cancellationToken);
        }
        catch (NpgsqlException)
        {
            // For people to look at; the next time will do.
        }
    }

    /// <summary>Closes every tunnel that must not be served any more, whatever the store says.</summary>
    internal void CloseLapsed()
    {
        var now = _right.Now;
        var cutOff = !_right.Holds;
        foreach (var tunnel in _tunnels.Attached)
        {
            if (cutOff)
                _ = CloseAsync(tunnel, AttachCodes.LeaseLost, "the silo is cut off from the rest of the grid");
            else if (now >= tunnel.LeaseEnd)
                _ = CloseAsync(tunnel, AttachCodes.LeaseLost, "the lease could not be renewed in time: the grid's database does not answer");
            else
                tunnel.KeepClock();
        }
    }

    /// <summary>Looks which leases of the grid are not renewed any more, so that one day they can be said to have lapsed.</summary>
    internal async Task WatchAsync(CancellationToken cancellationToken)
    {
        try
        {
            var askedAt = _right.Now;
            var stale = await _leases.ReadStaleAsync(NotRenewedFor, cancellationToken);
            _watch.Observe(stale, askedAt, _right.Now);
        }
        catch (NpgsqlException)
        {
            // Not seen, not counted: it only takes longer.
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Tick, _time);
        var (renewed, seen, watched) = (_time.GetTimestamp(), _time.GetTimestamp(), _time.GetTimestamp());
        var asking = Task.CompletedTask;
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            // Never behind a question to the store: that may hang for as long as it likes.
            CloseLapsed();
            if (!asking.IsCompleted)
                continue;
            asking = AskAsync(IsDue(ref renewed, RenewEvery), IsDue(ref seen, SeenEvery), IsDue(ref watched, WatchEvery), stoppingToken);
        }
    }

    private async Task AskAsync(bool renew, bool seen, bool watch, CancellationToken cancellationToken)
    {
        await Task.Yield();
        try
        {
            await AskStoreAsync(renew, seen, cancellationToken);
            if (watch)
                await WatchAsync(cancellationToken);
        }
        catch (Exception e) when (!cancellationToken.IsCancellationRequested)
        {
            LogTickFailed(e);
        }
        catch (OperationCanceledException)
        {
            // The silo stops.
        }
    }

    private bool IsDue(ref long last, TimeSpan every)
    {
        if (_time.GetElapsedTime(last) < every)
            return false;
        last = _time.GetTimestamp();
        return true;
    }

    private void Apply(IReadOnlyCollection<ConnectorTunnel> tunnels, LeaseTurn turn, TimeSpan asked)
    {
        foreach (var tunnel in tunnels)
        {
            if (turn.LostTokens.TryGetValue(tunnel.Connector.TokenId, out var why))
                _ = CloseAsync(tunnel, why.Code, why.Message);
            else if (turn.Renewed is null)
                continue;
            else if (turn.Renewed.Contains(tunnel.Connector.ConnectorId))
                tunnel.RenewedAt = asked;
            else if (!tunnel.Draining)
                _ = SupersedeAsync(tunnel);
        }
    }

    // The same agent, attached elsewhere, finishes its streams here, and is told in case the answer never reached it; another agent
    // must be the only one.
    private async Task SupersedeAsync(ConnectorTunnel tunnel)
    {
        _tunnels.Remove(tunnel);
        if (await IsStillItsOwnAsync(tunnel) == true)
            await tunnel.DismissAsync(AttachCodes.Superseded, "the connector was attached anew elsewhere");
        else
            await CloseAsync(tunnel, AttachCodes.Superseded, "the connector was attached anew elsewhere");
    }

    /// <summary>Streams of an agent that moved go on, until they end or the connector is another agent's.</summary>
    private async Task FinishAsync(ConnectorTunnel tunnel)
    {
        while (!tunnel.Closed.IsCompleted)
        {
            await tunnel.Closed.WaitAsync(FinishedEvery, _time).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (!tunnel.Closed.IsCompleted && (!_right.Holds || await IsStillItsOwnAsync(tunnel) == false))
                await CloseAsync(tunnel, AttachCodes.Superseded, "the connector is another agent's now");
        }
    }

    private async Task<bool> HasMovedAsync(ConnectorTunnel tunnel)
    {
        try
        {
            return await _leases.ReadAsync(tunnel.Connector.ConnectorId, CancellationToken.None) is { Live: true } lease && lease.Epoch > tunnel.Epoch;
        }
        catch (Exception e) when (e is NpgsqlException or ObjectDisposedException)
        {
            return true;
        }
    }

    /// <summary>Whether the lease is the same agent's, or nobody's; null: the store cannot tell.</summary>
    private async Task<bool?> IsStillItsOwnAsync(ConnectorTunnel tunnel)
    {
        try
        {
            return await _leases.ReadAsync(tunnel.Connector.ConnectorId, CancellationToken.None) is not { Live: true } lease || lease.AgentInstance == tunnel.Lease.AgentInstance;
        }
        catch (Exception e) when (e is NpgsqlException or ObjectDisposedException)
        {
            return null;
        }
    }

    private Task CloseAsync(ConnectorTunnel tunnel, string code, string message)
    {
        LogClosing(tunnel.Connector.Name, tunnel.Epoch, code);
        _tunnels.Remove(tunnel);
        return tunnel.CloseAsync(code, message);
    }
}
