using System.Net;
using Relay.Protocol.Grid;
using Relay.Silo.Hosting;
using Relay.Silo.Sessions;

namespace Relay.Silo.Grid;

/// <summary>What gateways ask about devices' flows and names. The gateway has proven the device; whose it is, and what it may, is decided here.</summary>
internal sealed class FlowRoutes(FlowOpener opener, SocketNames names, DrainState life, TimeProvider time) : IGridRoutes
{
    private const int MaxNameLength = 253;

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost(GridRoutes.Flows, OpenAsync).For(GridRole.Gateway);
        routes.MapPost(GridRoutes.Resolve, ResolveAsync).For(GridRole.Gateway);
    }

    private async Task OpenAsync(HttpContext context)
    {
        if (await GridReply.ReadAsync(context, GridJson.Default.OpenFlowRequest, time) is not { } request)
            return;
        if (!TryReadAddress(request.Address, out var dialled) || !TryReadAddress(request.ClientIp, out var clientIp) || request.Port is < 1 or > 65535 || request.Protocol is not ("tcp" or "udp"))
        {
            await GridReply.RefuseAsync(context, StatusCodes.Status400BadRequest, "bad_message", "address and client_ip are addresses, port is 1 to 65535, and protocol is tcp or udp");
            return;
        }

        if (life.IsDraining)
        {
            await GridReply.RefuseAsync(context, StatusCodes.Status503ServiceUnavailable, "draining", "this silo is shutting down: another one opens the session");
            return;
        }

        var answer = await opener.OpenAsync(context.GridPeer().Name, request, dialled, clientIp, context.RequestAborted);
        await GridReply.WriteAsync(context, answer, GridJson.Default.OpenFlowResponse);
    }

    private async Task ResolveAsync(HttpContext context)
    {
        if (await GridReply.ReadAsync(context, GridJson.Default.ResolveRequest, time) is not { } request)
            return;
        if (request.Name is not { Length: > 0 and <= MaxNameLength } name || !TryReadAddress(request.ClientIp, out var clientIp))
        {
            await GridReply.RefuseAsync(context, StatusCodes.Status400BadRequest, "bad_message", "name has 1 to 253 characters, and client_ip is an address");
            return;
        }

        var addresses = names.Resolve(request.Device, name, clientIp);
        await GridReply.WriteAsync(context, new ResolveResponse([.. addresses.Select(a => a.ToString())]), GridJson.Default.ResolveResponse);
    }

    private static bool TryReadAddress(string? text, out IPAddress address)
    {
        var valid = IPAddress.TryParse(text, out var parsed);
        address = parsed is { IsIPv4MappedToIPv6: true } ? parsed.MapToIPv4() : parsed ?? IPAddress.None;
        return valid;
    }
}
