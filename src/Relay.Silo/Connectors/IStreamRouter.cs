using Relay.Policy;
using Relay.Protocol.Tunnel;

namespace Relay.Silo.Connectors;

/// <summary>Opens streams to targets, through whichever connector and silo can. Safe for concurrent use.</summary>
internal interface IStreamRouter
{
    /// <summary>Opens a stream; tries the ways over the socket's attached connectors to its hosts until one leads there, in the order of <see cref="PathChoice"/>.</summary>
    /// <param name="grant">Proof that it is allowed; must be for <paramref name="target"/>'s socket.</param>
    /// <param name="sessionId">For the agent's log.</param>
    /// <param name="target">Where to; from the inventory, never from a user (L23).</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="StreamOpenException">No connector could; the message names connector and cause.</exception>
    /// <exception cref="ArgumentException">The grant is for another socket.</exception>
    ValueTask<RoutedStream> OpenAsync(AccessGrant grant, Guid sessionId, ConnectorTarget target, CancellationToken cancellationToken);
}

/// <summary>A socket's target and the connectors that lead to it.</summary>
/// <param name="SocketId">The socket; the grant must be for it.</param>
/// <param name="Connectors">The socket's connectors, in any order; empty: it has none.</param>
/// <param name="Targets">What the connector dials: one of these, whichever works and has the fewest sessions. Not empty.</param>
internal sealed record ConnectorTarget(Guid SocketId, IReadOnlyList<ConnectorReference> Connectors, IReadOnlyList<StreamTarget> Targets)
{
    /// <summary>A socket with one host.</summary>
    public ConnectorTarget(Guid socketId, IReadOnlyList<ConnectorReference> connectors, StreamTarget target)
        : this(socketId, connectors, [target])
    {
    }

    /// <summary>There is more than one way, so that loads matter.</summary>
    public bool HasChoice => Connectors.Count * Targets.Count > 1;
}

/// <summary>A connector, by id and by the name people know.</summary>
internal sealed record ConnectorReference(Guid Id, string Name);

/// <summary>An open stream and the way it took. The caller disposes the stream.</summary>
/// <param name="TokenId">The token that opened the connector's tunnel; empty: the silo that holds it did not say.</param>
/// <param name="Target">The host that was chosen.</param>
/// <param name="Silo">Grid address of the silo that holds the connector's tunnel.</param>
/// <param name="Hops">1: the tunnel is here; 2: through another silo.</param>
internal sealed record RoutedStream(DuplexStream Stream, Guid ConnectorId, string ConnectorName, Guid TokenId, StreamTarget Target, string Silo, int Hops);
