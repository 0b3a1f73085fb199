using System.Collections.Concurrent;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using Relay.Protocol.Grid;
using Relay.Protocol.Tunnel;
using Relay.Silo.Connectors;

namespace Relay.Silo.Grid;

/// <summary>
/// How this silo reaches others: HTTP/2 for streams, raw TLS for grain calls; mTLS, only silos of this grid answer.
/// Safe for concurrent use.
/// </summary>
internal sealed class SiloLinks(GridCertificate certificate, TimeProvider time) : ISiloHttp, IDisposable
{
    private static readonly TimeSpan ConnectDeadline = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan PingInterval = TimeSpan.FromSeconds(5);
    private readonly ConcurrentDictionary<string, Lazy<HttpMessageInvoker>> _clients = new(StringComparer.Ordinal);

    public HttpMessageInvoker For(string gridAddress) =>
        _clients.GetOrAdd(gridAddress, address => new Lazy<HttpMessageInvoker>(() => Create(address, ConnectDeadline))).Value;

    /// <summary>A raw duplex stream, ALPN <see cref="GridRoutes.GrainAlpn"/>. The caller disposes it.</summary>
    /// <param name="siloAddress">Advertised grid address "host:port".</param>
    /// <exception cref="IOException">Not reached, or it is not a silo of this grid.</exception>
    public ValueTask<Stream> ConnectAsync(string siloAddress, CancellationToken cancellationToken) =>
        ConnectAsync(siloAddress, new SslApplicationProtocol(GridRoutes.GrainAlpn), ConnectDeadline, cancellationToken);

    public void Dispose()
    {
        foreach (var client in _clients.Values)
        {
            if (client.IsValueCreated)
                client.Value.Dispose();
        }
    }

    /// <summary>A client with connections of its own; the caller disposes it.</summary>
    /// <param name="connectDeadline">Limit of dialling and TLS.</param>
    public HttpMessageInvoker Dial(string gridAddress, TimeSpan connectDeadline) => Create(gridAddress, connectDeadline);

    private HttpMessageInvoker Create(string address, TimeSpan connectDeadline) => new(new SocketsHttpHandler
    {
        // The callback does TLS itself: the grid's identity rules are not those of the web.
        ConnectCallback = (_, cancellationToken) => ConnectAsync(address, SslApplicationProtocol.Http2, connectDeadline, cancellationToken),
        EnableMultipleHttp2Connections = true,
        InitialHttp2StreamWindowSize = GridServer.StreamWindowBytes,
        KeepAlivePingDelay = PingInterval,
        KeepAlivePingTimeout = PingInterval,
        KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
        PooledConnectionIdleTimeout = TimeSpan.FromMinutes(2),
        AllowAutoRedirect = false,
        AutomaticDecompression = DecompressionMethods.None,
        UseCookies = false,
        UseProxy = false,
        ActivityHeadersPropagator = null,
    });

    private async ValueTask<Stream> ConnectAsync(string address, SslApplicationProtocol protocol, TimeSpan limit, CancellationToken cancellationToken)
    {
        if (!GridAddress.TryParse(address, out var host, out var port))
            throw new IOException($"'{address}' is not the address of a silo");
        using var deadline = new CancellationTokenSource(limit, time);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, cancellationToken);
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        SslStream? tls = null;
        try
        {
            await socket.ConnectAsync(host, port, stop.Token);
            tls = new TlsSocketStream(socket);
            await tls.AuthenticateAsClientAsync(certificate.ClientOptions(protocol), stop.Token);
            if (tls.NegotiatedApplicationProtocol != protocol)
                throw new IOException($"silo {address} does not speak {protocol}");
            return tls;
        }
        catch (Exception e)
        {
            if (tls is not null)
                await tls.DisposeAsync();
            socket.Dispose();
            if (cancellationToken.IsCancellationRequested)
                throw;
            throw e as IOException ?? new IOException(
                e is OperationCanceledException ? $"silo {address} did not answer in time" : $"cannot reach silo {address}: {e.Message}", e);
        }
    }
}
