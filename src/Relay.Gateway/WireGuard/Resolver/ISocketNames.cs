using System.Net;
using Relay.Gateway.WireGuard.Decisions;

namespace Relay.Gateway.WireGuard.Resolver;

/// <summary>Knows the addresses of sockets inside the tunnel. Safe for concurrent use.</summary>
internal interface ISocketNames
{
    /// <summary>The addresses of a socket; empty: there is none, or the device's user may not use it.</summary>
    /// <param name="request">Whose question it is.</param>
    /// <param name="name">"socket" or "socket-organization", in lower case.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="IOException">Nobody can say now.</exception>
    ValueTask<IReadOnlyList<IPAddress>> ResolveAsync(FlowRequest request, string name, CancellationToken cancellationToken);
}
