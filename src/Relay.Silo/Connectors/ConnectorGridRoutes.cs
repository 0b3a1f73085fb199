using System.Globalization;
using Relay.Protocol.Grid;
using Relay.Protocol.Tunnel;
using Relay.Silo.Grid;

namespace Relay.Silo.Connectors;

/// <summary>What other silos ask this one about its connectors; mapped on the grid's port for silos only. Safe for concurrent use.</summary>
internal sealed class ConnectorGridRoutes : IGridRoutes
{
    /// <summary>Pattern of <see cref="GridRoutes.ConnectorStream"/>. Method POST.</summary>
    private const string StreamPattern = "/grid/v1/connectors/{connector:guid}/stream";

    /// <summary>Pattern of <see cref="Probe"/>. Method GET.</summary>
    private const string ProbePattern = "/grid/v1/connectors/{connector:guid}/probe";

    /// <summary>Header of <see cref="Probe"/>: the start of the silo that the lease names.</summary>
    public const string HolderHeader = "relay-holder";

    private readonly ConnectorTunnels _tunnels;
    private readonly HolderProbe _probe;
    private readonly TransitStreams _transit;

    public ConnectorGridRoutes(ConnectorTunnels tunnels, HolderProbe probe, TransitStreams transit)
    {
        _transit = transit;
        _tunnels = tunnels;
        _probe = probe;
    }

    /// <summary>Asks whether the agent of a connector lives: 200 or, when the lease may be taken, 410.</summary>
    public static string Probe(Guid connector) => $"/grid/v1/connectors/{connector}/probe";

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost(StreamPattern, StreamAsync).For(GridRole.Silo);
        routes.MapGet(ProbePattern, ProbeAsync).For(GridRole.Silo);
    }

    /// <summary>A duplex stream through a tunnel that ends here.</summary>
    private async Task StreamAsync(HttpContext context)
    {
        if (!TryReadConnector(context, out var connector) || !StreamHeaders.TryRead(context.Request, out var session, out var epoch, out var target))
        {
            DuplexExchange.Refuse(context, StreamOpenError.Failed, "the request names no connector, session, epoch or target");
            context.Response.StatusCode = StatusCodes.Status400BadRequest;
            return;
        }

        if (!_tunnels.Admit(connector, epoch))
        {
            DuplexExchange.Refuse(context, StreamOpenError.StaleEpoch, string.Create(CultureInfo.InvariantCulture, $"epoch {epoch} is over; this silo has seen {_tunnels.HighestEpoch(connector)}"));
            return;
        }

        if (_tunnels.Find(connector) is not { } tunnel)
        {
            DuplexExchange.Refuse(context, StreamOpenError.NotAttached, "the connector is not connected to this silo");
            return;
        }

        DuplexStream stream;
        try
        {
            stream = await tunnel.OpenAsync(session, target, TunnelWire.OpenDeadline, context.RequestAborted);
        }
        catch (StreamOpenException e)
        {
            DuplexExchange.Refuse(context, e.Error, e.Message);
            return;
        }

        context.Response.Headers[StreamHeaders.TokenHeader] = tunnel.Connector.TokenId.ToString("D");
        using (_transit.Add(session, context.GridPeer().Name))
        await using (stream)
        await using (var exchange = await DuplexExchange.AcceptAsync(context))
            await StreamPump.RunAsync(exchange, stream);
    }

    /// <summary>See <see cref="Probe"/>.</summary>
    private async Task ProbeAsync(HttpContext context)
    {
        if (!TryReadConnector(context, out var connector)
            || !long.TryParse(context.Request.Headers[TunnelWire.EpochHeader], NumberStyles.None, CultureInfo.InvariantCulture, out var epoch))
        {
            context.Response.StatusCode = StatusCodes.Status400BadRequest;
            return;
        }

        // Unnamed, it may be any.
        _ = Guid.TryParse(context.Request.Headers[HolderHeader], out var holder);
        context.Response.StatusCode = await _probe.ProbeHereAsync(connector, holder, epoch, context.RequestAborted) switch
        {
            HolderState.Alive => StatusCodes.Status200OK,
            HolderState.Dead => StatusCodes.Status410Gone,
            _ => StatusCodes.Status503ServiceUnavailable,
        };
    }

    private static bool TryReadConnector(HttpContext context, out Guid connector) =>
        Guid.TryParse(context.Request.RouteValues["connector"] as string, out connector);
}
