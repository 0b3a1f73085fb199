using Relay.Protocol.Grid;

namespace Relay.Silo.Grid;

/// <summary>Set once per connection from its leaf certificate; absent when the peer showed none (it may only enrol).</summary>
/// <param name="Peer">Who the peer is.</param>
/// <param name="NotBefore">When its certificate begins.</param>
/// <param name="NotAfter">The end of its certificate: a connection does not outlive what proved it.</param>
internal sealed record GridPeerFeature(GridPeer Peer, DateTimeOffset NotBefore, DateTimeOffset NotAfter);

/// <summary>Which peers may call a route. A route without this is refused to everybody.</summary>
/// <param name="Role"><see cref="GridRole.None"/>: also a peer without a certificate.</param>
internal sealed record GridRouteAccess(GridRole Role);
