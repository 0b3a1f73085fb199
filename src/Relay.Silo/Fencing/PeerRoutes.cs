using Relay.Protocol.Grid;
using Relay.Protocol.Tunnel;
using Relay.Silo.Connectors;
using Relay.Silo.Grid;
using Relay.Silo.Storage;

namespace Relay.Silo.Fencing;

/// <summary>What silos tell each other about themselves, and what one does for another that does not reach the store.</summary>
internal sealed class PeerRoutes(
    SiloFence fence, FenceStore fences, ConnectorLeaseStore leases, ConnectorRecords records, IGridMembers members, StoreHealth store, BootClock clock, TimeProvider time) : IGridRoutes
{
    public const int MaxRenewed = 500;

    private static readonly TimeSpan StoreDeadline = TimeSpan.FromSeconds(2);

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost(GridRoutes.PeerHeartbeat, HeartbeatAsync).For(GridRole.Silo);
        routes.MapPost(GridRoutes.PeerRenewal, RenewAsync).For(GridRole.Silo);
    }

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

    private async Task RenewAsync(HttpContext context)
    {
        if (await GridReply.ReadAsync(context, GridJson.Default.PeerRenewal, time) is not { } renewal)
            return;
        if (renewal.Leases is not { Count: <= MaxRenewed } || renewal.Tokens is not { Count: <= MaxRenewed })
        {
            await GridReply.RefuseAsync(context, StatusCodes.Status400BadRequest, "bad_message", $"at most {MaxRenewed} leases and tokens");
            return;
        }

        // SECURITY: leases are renewed for the silo that the certificate is for, and for nobody else.
        if (Member(renewal.Incarnation) is not { } member || (member.Name.Length > 0 && member.Name != context.GridPeer().Name))
        {
            await GridReply.RefuseAsync(context, StatusCodes.Status403Forbidden, "wrong_name", "the certificate is for another silo, or this start of it is not known here");
            return;
        }

        using var late = new CancellationTokenSource(StoreDeadline, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, context.RequestAborted);
        using var stop = new StoreBound(either.Token, store.Outage);
        try
        {
            var held = await fences.IsHeldAsync(renewal.Incarnation, stop.Token);
            var renewed = held && renewal.Leases.Count > 0
                ? await leases.RenewAsync(renewal.Incarnation, [.. renewal.Leases.Select(l => (l.Connector, l.Epoch))], ConnectorLeaseStore.HardTtl, stop.Token)
                : new HashSet<Guid>();
            var lost = renewal.Tokens.Count > 0 ? await records.LostTokensAsync(renewal.Tokens, stop.Token) : new Dictionary<Guid, (string Code, string Message)>();
            await GridReply.WriteAsync(
                context, new PeerRenewalAnswer(held, [.. renewed], [.. lost.Select(l => new PeerLostToken(l.Key, l.Value.Code, l.Value.Message))]), GridJson.Default.PeerRenewalAnswer);
        }
        catch (Exception e) when (!context.RequestAborted.IsCancellationRequested && (e is OperationCanceledException || StoreErrors.IsOutage(e)))
        {
            await GridReply.RefuseAsync(context, StatusCodes.Status503ServiceUnavailable, "store_unavailable", "this silo does not reach the store either");
        }
    }

    private GridMember? Member(Guid incarnation) => members.Serving.Concat(members.Dead).FirstOrDefault(m => m.Incarnation == incarnation);

    // SECURITY: whoever holds some silo's certificate must not speak for another silo.
    private bool IsWhoItSays(HttpContext context, string address, Guid incarnation)
    {
        return Member(incarnation) is not { } known || (known.Address == address && (known.Name.Length == 0 || known.Name == context.GridPeer().Name));
    }
}
