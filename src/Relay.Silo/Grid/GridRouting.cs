using Microsoft.AspNetCore.Http.Features;
using Relay.Protocol.Grid;

namespace Relay.Silo.Grid;

/// <summary>How a route says who may call it, and how its handler learns who does.</summary>
internal static class GridRouting
{
    /// <summary>Only peers whose certificate says <paramref name="role"/>.</summary>
    public static IEndpointConventionBuilder For(this IEndpointConventionBuilder route, GridRole role) =>
        route.WithMetadata(new GridRouteAccess(role));

    /// <summary>Also peers without a certificate. One that was shown has held nevertheless.</summary>
    public static IEndpointConventionBuilder Open(this IEndpointConventionBuilder route) =>
        route.WithMetadata(new GridRouteAccess(GridRole.None));

    /// <summary>The caller, on a route that is <see cref="For"/> a role.</summary>
    public static GridPeer GridPeer(this HttpContext context) =>
        context.Features.GetRequiredFeature<GridPeerFeature>().Peer;
}
