using System.Net;
using System.Threading.Channels;
using Microsoft.AspNetCore.Connections;

namespace Relay.Connector.Tunnel;

/// <summary>Kestrel's transport for connections that were dialled, not accepted: the listener's queue is fed by the dialler.</summary>
internal sealed class DialledTransport : IConnectionListenerFactory, IConnectionListenerFactorySelector
{
    private readonly Channel<DialledConnection> _connections =
        Channel.CreateBounded<DialledConnection>(new BoundedChannelOptions(8) { SingleReader = true });

    public bool CanBind(EndPoint endpoint) => endpoint is DialledEndPoint;

    public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default) =>
        ValueTask.FromResult<IConnectionListener>(new Listener(endpoint, _connections.Reader));

    /// <summary>Hands a connection over to be served; false: the server has stopped.</summary>
    public bool TryServe(DialledConnection connection) => _connections.Writer.TryWrite(connection);

    public void Stop() => _connections.Writer.TryComplete();

    private sealed class Listener(EndPoint endpoint, ChannelReader<DialledConnection> connections) : IConnectionListener
    {
        private readonly CancellationTokenSource _unbound = new();

        public EndPoint EndPoint { get; } = endpoint;

        public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
        {
            try
            {
                using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _unbound.Token);
                return await connections.WaitToReadAsync(stop.Token) && connections.TryRead(out var connection) ? connection : null;
            }
            catch (OperationCanceledException) when (_unbound.IsCancellationRequested)
            {
                return null;
            }
        }

        public ValueTask UnbindAsync(CancellationToken cancellationToken = default)
        {
            _unbound.Cancel();
            return ValueTask.CompletedTask;
        }

        public ValueTask DisposeAsync()
        {
            _unbound.Cancel();
            return ValueTask.CompletedTask;
        }
    }
}

/// <summary>The one endpoint of <see cref="DialledTransport"/>.</summary>
internal sealed class DialledEndPoint : EndPoint
{
    public override string ToString() => "dialled";
}
