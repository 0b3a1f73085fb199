using Relay.Protocol.Grid;
using Relay.Silo.Grid;
using Relay.Silo.Storage;

namespace Relay.Silo.Fencing;

/// <summary>What silos tell each other about themselves.</summary>
internal sealed class PeerRoutes(SiloFence fence, IGridMembers members, StoreHealth store, LeaseClock clock, TimeProvider time) : IGridRoutes
{
    public void Map(IEndpointRouteBuilder routes) => routes.MapPost(GridRoutes.PeerHeartbeat, HeartbeatAsync).For(GridRole.Silo);

    private async Task HeartbeatAsync(HttpContext context)
    {
        if (await GridReply.ReadAsync(context, GridJson.Default.PeerHeartbeat, time) is not { } beat)
            return;
        if (beat.Fenced is null || !IsWhoItSays(context, beat.FromAddress, beat.FromIncarnation))
        {
            await GridReply.RefuseAsync(context, StatusCodes.Status403Forbidden, "wrong_name", "the certificate is for another silo");
            return;
        }

        await GridReply.WriteAsync(context, fence.OnHeartbeat(beat, store.Reachable, clock.Now), GridJson.Default.PeerHeartbeatAnswer);
    }

    // SECURITY: whoever holds some silo's certificate must not speak for another silo.
    private bool IsWhoItSays(HttpContext context, string address, Guid incarnation)
    {
        var known = members.Serving.Concat(members.Dead).FirstOrDefault(m => m.Incarnation == incarnation);
        return known is null || (known.Address == address && (known.Name.Length == 0 || known.Name == context.GridPeer().Name));
    }
}
