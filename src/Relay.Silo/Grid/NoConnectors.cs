using Relay.Policy;
using Relay.Protocol.Tunnel;
using Relay.Silo.Connectors;

namespace Relay.Silo.Grid;

/// <summary>A silo that takes no connectors opens no streams, and says so.</summary>
internal sealed class NoConnectors : IStreamRouter
{
    public ValueTask<RoutedStream> OpenAsync(AccessGrant grant, Guid sessionId, ConnectorTarget target, CancellationToken cancellationToken) =>
        ValueTask.FromException<RoutedStream>(new StreamOpenException(StreamOpenError.NotAttached, "no connector of this socket is connected"));
}
