using System.Globalization;
using System.Net;
using Relay.Protocol.Tunnel;
using Relay.Silo.Hosting;

namespace Relay.Silo.Connectors;

/// <summary>What is known of the agent that holds a lease. The zero value changes nothing.</summary>
internal enum HolderState
{
    /// <summary>Nobody could be asked.</summary>
    Unknown = 0,

    /// <summary>It answered.</summary>
    Alive,

    /// <summary>It did not answer its silo, or its silo has no such tunnel; and its silo will serve none of that epoch any more.</summary>
    Dead,
}

/// <summary>Asks the holder of a lease whether its agent lives. Safe for concurrent use.</summary>
internal interface IHolderProbe
{
    ValueTask<HolderState> ProbeAsync(ConnectorLease holder, CancellationToken cancellationToken);
}

/// <inheritdoc cref="IHolderProbe"/>
internal sealed class HolderProbe : IHolderProbe
{
    private readonly ConnectorTunnels _tunnels;
    private readonly ISiloHttp _silos;
    private readonly SiloIdentity _self;
    private readonly ServingRight _right;
    private readonly TimeProvider _time;

    public HolderProbe(ConnectorTunnels tunnels, ISiloHttp silos, SiloIdentity self, ServingRight right, TimeProvider time)
    {
        _right = right;
        _tunnels = tunnels;
        _silos = silos;
        _self = self;
        _time = time;
    }

    /// <summary>How long another silo may take to answer, its own question to the agent included; then nothing is known.</summary>
    public TimeSpan Deadline { get; init; } = TunnelWire.ProbeDeadline + TunnelWire.ProbeDeadline;

    /// <summary>How long an agent that is connected here may take to answer; then it counts as dead.</summary>
    public TimeSpan AgentDeadline { get; init; } = TunnelWire.ProbeDeadline;

    public async ValueTask<HolderState> ProbeAsync(ConnectorLease holder, CancellationToken cancellationToken)
    {
        if (holder.Silo == _self.Address)
            return await ProbeHereAsync(holder.ConnectorId, holder.SiloIncarnation, holder.Epoch, cancellationToken);
        using var request = new HttpRequestMessage(HttpMethod.Get, $"https://{holder.Silo}{ConnectorGridRoutes.Probe(holder.ConnectorId)}")
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
        };
        request.Headers.TryAddWithoutValidation(TunnelWire.EpochHeader, holder.Epoch.ToString(CultureInfo.InvariantCulture));
        request.Headers.TryAddWithoutValidation(ConnectorGridRoutes.HolderHeader, holder.SiloIncarnation.ToString());
        using var late = new CancellationTokenSource(Deadline, _time);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellationToken);
        try
        {
            using var response = await _silos.For(holder.Silo).SendAsync(request, stop.Token);
            return response.StatusCode switch
            {
                HttpStatusCode.OK => HolderState.Alive,
                HttpStatusCode.Gone => HolderState.Dead,
                _ => HolderState.Unknown,
            };
        }
        catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException)
        {
            cancellationToken.ThrowIfCancellationRequested();
            return HolderState.Unknown;
        }
    }

    /// <summary>
    /// Dead: no tunnel of this epoch here, or its agent did not answer. That is a promise: none will be served any more. Unknown: it is
    /// over too, but an opening that was sent before may still be taken; for seconds.
    /// </summary>
    /// <param name="holder">The start of this silo that the lease names; one that is over may have left an opening on its way.</param>
    public async ValueTask<HolderState> ProbeHereAsync(Guid connectorId, Guid holder, long epoch, CancellationToken cancellationToken)
    {
        if (_tunnels.Find(connectorId) is { } tunnel && tunnel.Epoch >= epoch && await tunnel.PingAsync(AgentDeadline, cancellationToken))
            return HolderState.Alive;
        // The lease of an attach that is not finished yet may be known to the one who asks, and not be registered here.
        var doubt = _tunnels.Forswear(connectorId, epoch);
        if (holder != _self.Incarnation && _right.EarlierStartsAreOver > doubt)
            doubt = _right.EarlierStartsAreOver;
        return doubt >= _right.Now ? HolderState.Unknown : HolderState.Dead;
    }
}
