using Relay.Protocol.Grid;
using Relay.Silo.Connectors;
using Relay.Silo.Grid;
using Relay.Silo.Hosting;
using Relay.Silo.Snapshots;

namespace Relay.Silo.LocalSnapshots;

/// <summary>The other end of <see cref="IPeerAnswers"/>: from memory and disk, the store takes no part.</summary>
internal sealed class PeerAnswerRoutes(SnapshotCell snapshots, LocalSnapshotKeeper keeper, ConnectorTunnels tunnels, ServingRight right, SiloIdentity self, TimeProvider time) : IGridRoutes
{
    /// <summary>In one question.</summary>
    public const int MaxConnectors = 500;

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost(GridRoutes.PeerVersions, context =>
            GridReply.WriteAsync(context, new PeerVersions(snapshots.Versions(), keeper.Revoked), PeerAnswersJson.Default.PeerVersions)).For(GridRole.Silo);
        routes.MapPost(GridRoutes.PeerRows, RowsAsync).For(GridRole.Silo);
        routes.MapPost(GridRoutes.PeerTunnels, TunnelsAsync).For(GridRole.Silo);
    }

    private async Task RowsAsync(HttpContext context)
    {
        if (await GridReply.ReadAsync(context, PeerAnswersJson.Default.PeerRowsRequest, time) is not { } question)
            return;
        await GridReply.WriteAsync(context, new PeerRows(Rows(question.OrganizationId)), PeerAnswersJson.Default.PeerRows);
    }

    // Memory has what was made of them, the disk has them; a moment after a change it does not have them yet.
    private SnapshotRows? Rows(Guid organizationId)
    {
        if (keeper.Unwritten(organizationId) is { } rows)
            return rows;
        try
        {
            return keeper.Folder?.ReadOrganization(organizationId);
        }
        catch (InvalidDataException)
        {
            return null;
        }
    }

    private async Task TunnelsAsync(HttpContext context)
    {
        if (await GridReply.ReadAsync(context, PeerAnswersJson.Default.PeerTunnelsRequest, time) is not { } question)
            return;
        if (question.Connectors is not { Count: <= MaxConnectors })
        {
            await GridReply.RefuseAsync(context, StatusCodes.Status400BadRequest, "bad_message", $"at most {MaxConnectors} connectors");
            return;
        }

        // Who may not serve has none.
        var found = right.Holds ? question.Connectors.Select(tunnels.Find).OfType<ConnectorTunnel>() : [];
        await GridReply.WriteAsync(
            context, new PeerTunnels(self.Incarnation, [.. found.Select(t => new PeerTunnel(t.Connector.ConnectorId, t.Epoch))]), PeerAnswersJson.Default.PeerTunnels);
    }
}
