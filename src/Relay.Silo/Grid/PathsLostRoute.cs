using Relay.Protocol.Grid;
using Relay.Silo.Sessions;

namespace Relay.Silo.Grid;

/// <summary>A silo that goes says which sessions lose their way to the connector: they end with its reason, and not with a reset.</summary>
internal sealed class PathsLostRoute(SessionRegistry sessions, TimeProvider time) : IGridRoutes
{
    public void Map(IEndpointRouteBuilder routes) => routes.MapPost(GridRoutes.PathsLost, EndAsync).For(GridRole.Silo);

    private async Task EndAsync(HttpContext context)
    {
        if (await GridReply.ReadAsync(context, GridJson.Default.PathsLost, time) is not { } lost)
            return;
        foreach (var session in (lost.Sessions ?? []).Select(sessions.Find).OfType<LiveSession>())
            sessions.End(session, PlainText.Clean(lost.Outcome, 200), PlainText.Clean(lost.Reason, 500), audit: null);
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }
}
