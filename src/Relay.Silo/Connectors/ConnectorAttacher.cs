using System.Globalization;
using System.Net.Security;
using Relay.Protocol.Tunnel;
using Relay.Silo.Fencing;
using Relay.Silo.Grid;
using Relay.Silo.Hosting;
using Relay.Silo.Storage;

namespace Relay.Silo.Connectors;

/// <summary>Turns a TLS connection into a tunnel: request, token, lease, answer. Safe for concurrent use.</summary>
internal sealed partial class ConnectorAttacher
{
    // Each try follows a holder that was found dead; somebody else may be quicker every time.
    private const int MaxTries = 3;

    private const string StoreLost = "the grid's database does not answer, and without it no connector can be connected anew; nothing is wrong with the token";

    private readonly IConnectorAdmission _admission;
    private readonly ConnectorLeaseStore _leases;
    private readonly ConnectorTunnels _tunnels;
    private readonly IHolderProbe _probe;
    private readonly ConnectorRecords _records;
    private readonly SiloIdentity _self;
    private readonly ServingRight _right;
    private readonly SiloFence _fence;
    private readonly LeaseWatch _watch;
    private readonly GridHealth _health;
    private readonly StoreHealth _store;
    private readonly TimeProvider _time;
    private readonly ILogger<ConnectorAttacher> _logger;

    public ConnectorAttacher(
        IConnectorAdmission admission, ConnectorLeaseStore leases, ConnectorTunnels tunnels, IHolderProbe probe, ConnectorRecords records, SiloIdentity self,
        ServingRight right, SiloFence fence, LeaseWatch watch, GridHealth health, StoreHealth store, TimeProvider time, ILogger<ConnectorAttacher> logger)
    {
        _right = right;
        _fence = fence;
        _watch = watch;
        _health = health;
        _store = store;
        _admission = admission;
        _leases = leases;
        _tunnels = tunnels;
        _probe = probe;
        _records = records;
        _self = self;
        _time = time;
        _logger = logger;
    }

    /// <summary>Null: refused, and the agent has been told why; the stream is closed.</summary>
    /// <exception cref="IOException">The peer is gone, or it is no connector.</exception>
    public async Task<ConnectorTunnel?> AttachAsync(SslStream stream, string remote, CancellationToken cancellationToken)
    {
        AttachRequest request;
        try
        {
            request = await AttachPreamble.ReadAsync(stream, TunnelJson.Default.AttachRequest, cancellationToken);
        }
        catch (AttachProtocolException e)
        {
            return await RefuseAsync(stream, remote, AttachCodes.BadRequest, e.Message, cancellationToken);
        }

        var clock = request.ClockMs is { } milliseconds ? new AgentClock(milliseconds, _right.Now) : null;
        if (request.Protocol != TunnelWire.ProtocolVersion)
        {
            return await RefuseAsync(stream, remote, AttachCodes.ProtocolVersion, string.Create(
                CultureInfo.InvariantCulture, $"the connector speaks version {request.Protocol} of the tunnel protocol, this grid speaks {TunnelWire.ProtocolVersion}"), cancellationToken);
        }

        if (request.AgentInstance == Guid.Empty || request.Token is null)
            return await RefuseAsync(stream, remote, AttachCodes.BadRequest, "the attach request names no token or no agent instance", cancellationToken);

        if (!_right.Holds)
            return await RefuseAsync(stream, remote, AttachCodes.Unavailable, "this silo is cut off from the grid: dial another one; nothing is wrong with the token", cancellationToken);
        if (!_store.Reachable)
            return await RefuseAsync(stream, remote, AttachCodes.Unavailable, StoreLost, cancellationToken);

        // Nothing can be decided anew without the store, not even for an instance that was connected before; the agent tries again.
        using var waiting = new StoreBound(cancellationToken, _store.Outage);
        try
        {
            return await AttachAsync(stream, remote, request, clock, waiting.Token);
        }
        catch (Exception e) when (StoreErrors.IsOutage(e) && e is not IOException)
        {
            LogStoreFailed(remote, e.Message);
            _store.Suspect(e);
            return await RefuseAsync(stream, remote, AttachCodes.Unavailable, StoreLost, cancellationToken);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            LogStoreFailed(remote, "given up");
            return await RefuseAsync(stream, remote, AttachCodes.Unavailable, StoreLost, cancellationToken);
        }
    }

    private async Task<ConnectorTunnel?> AttachAsync(SslStream stream, string remote, AttachRequest request, AgentClock? clock, CancellationToken cancellationToken)
    {
        var admission = await _admission.CheckAsync(request.Token, cancellationToken);
        if (admission.Connector is not { } connector)
            return await RefuseAsync(stream, remote, admission.Code ?? AttachCodes.TokenForeign, admission.Message ?? "the token was not accepted", cancellationToken);

        long? overtakes = null;
        for (var tries = 0; tries < MaxTries; tries++)
        {
            var renewedAt = _right.Now;
            var outcome = await _leases.AttachAsync(connector.ConnectorId, request.AgentInstance, remote, request.HighestEpoch, request.Attempt, ConnectorLeaseStore.HardTtl, overtakes, cancellationToken);
            if (outcome.Won is { } won)
                return await AcceptAsync(stream, remote, request, connector, won, renewedAt, clock, cancellationToken);

            var holder = outcome.Holder!;
            if (holder.AgentInstance == request.AgentInstance)
                return await RefuseAsync(stream, remote, AttachCodes.Unavailable, "a later attach of this very agent was quicker", cancellationToken);
            var lapsed = _watch.HasLapsed(holder, renewedAt, _right.Now);
            var state = await _probe.ProbeAsync(holder, cancellationToken);
            var fenced = _fence.MayTakeOver(holder.SiloIncarnation, _right.Now);
            var verdict = Takeover.Decide(state, fenced, _health.StoreReachableDirectly && _health.MajorityReachable, lapsed);
            LogProbed(connector.Name, holder.Silo, holder.Epoch, state.ToString(), fenced, lapsed, verdict.ToString());
            if (verdict == TakeoverVerdict.AlreadyConnected)
            {
                return await RefuseAsync(stream, remote, AttachCodes.AlreadyConnected, string.Create(
                    CultureInfo.InvariantCulture, $"connector {connector.Name} is already connected since {holder.AttachedAt.UtcDateTime:yyyy-MM-dd HH:mm:ss} UTC from {holder.AgentAddress}; one agent at a time may use it"), cancellationToken);
            }

            if (verdict == TakeoverVerdict.Unknown)
            {
                return await RefuseAsync(stream, remote, AttachCodes.Unavailable, string.Create(
                    CultureInfo.InvariantCulture, $"connector {connector.Name} is held since {holder.AttachedAt.UtcDateTime:yyyy-MM-dd HH:mm:ss} UTC from {holder.AgentAddress}, and the silo that holds it cannot be asked whether it still lives"), cancellationToken);
            }

            // Only this epoch: whoever attached meanwhile is not touched.
            overtakes = holder.Epoch;
        }

        return await RefuseAsync(stream, remote, AttachCodes.Unavailable, $"connector {connector.Name} is being attached from several places at once", cancellationToken);
    }

    private async Task<ConnectorTunnel?> AcceptAsync(
        SslStream stream, string remote, AttachRequest request, AdmittedConnector connector, ConnectorLease lease, TimeSpan renewedAt, AgentClock? clock, CancellationToken cancellationToken)
    {
        LogLeaseGranted(connector.Name, connector.ConnectorId, lease.Epoch, request.AgentInstance);

        // The old socket first: from here on only the new epoch is served.
        if (!_tunnels.Admit(connector.ConnectorId, lease.Epoch))
        {
            // Somebody else was quicker, or this silo has already promised that the epoch is over.
            await _leases.ReleaseAsync(connector.ConnectorId, lease.Epoch, cancellationToken);
            return await RefuseAsync(stream, remote, AttachCodes.Unavailable, $"connector {connector.Name} is being attached from several places at once", cancellationToken);
        }

        _tunnels.TakeOlder(connector.ConnectorId, lease.Epoch)?.Dispose();
        try
        {
            var silos = await _records.AttachedAsync(connector, lease, request, cancellationToken);
            await AttachPreamble.WriteAsync(
                stream, new AttachResponse(true, lease.Epoch, ConnectorName: connector.Name, SshCa: connector.SshCa, Silos: silos, Silo: _self.Name), TunnelJson.Default.AttachResponse, cancellationToken);
            var tunnel = new ConnectorTunnel(new TunnelTransport(stream), connector, lease, renewedAt, clock, _right, _time);
            if (_tunnels.TryAdd(tunnel))
            {
                LogAttached(connector.Name, connector.ConnectorId, lease.Epoch, request.AgentInstance, _self.Address, remote, request.Version ?? "");
                return tunnel;
            }

            tunnel.Dispose();
            return null;
        }
        catch
        {
            await _leases.ReleaseAsync(connector.ConnectorId, lease.Epoch, CancellationToken.None);
            throw;
        }
    }

    private async Task<ConnectorTunnel?> RefuseAsync(SslStream stream, string remote, string code, string message, CancellationToken cancellationToken)
    {
        LogRefused(remote, code, message);
        await AttachPreamble.WriteAsync(stream, new AttachResponse(false, 0, code, message), TunnelJson.Default.AttachResponse, cancellationToken);
        await stream.ShutdownAsync();
        await stream.DisposeAsync();
        return null;
    }
}
