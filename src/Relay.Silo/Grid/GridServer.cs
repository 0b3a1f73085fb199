using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Relay.Protocol.Grid;
using Relay.Protocol.Tunnel;
using Relay.Silo.Connectors;
using Relay.Silo.Hosting;
using Relay.Silo.Sessions;
using Relay.Silo.Spool;
using Relay.Silo.Storage;

namespace Relay.Silo.Grid;

/// <summary>
/// The grid's port: HTTPS/2 for gateways and silos and, by ALPN, raw streams for grain calls. A web host of its own, so that no
/// API route, limit or middleware can ever be reached or changed from here (L34). TLS 1.3 only; a client certificate is optional in
/// TLS and demanded per route, because a gateway that enrols has none yet.
/// </summary>
internal sealed partial class GridServer : IHostedService, IAsyncDisposable
{
    internal const int StreamWindowBytes = 4 * 1024 * 1024;
    private const int MaxStreamsPerConnection = 16 * 1024;
    internal static readonly TimeSpan HandshakeDeadline = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan StopDeadline = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan PingInterval = TimeSpan.FromSeconds(5);
    private static readonly SslApplicationProtocol Grain = new(GridRoutes.GrainAlpn);

    /// <summary>Strangers of one address, and in all.</summary>
    internal const int MaxStrangersPerAddress = 256;
    private const int MaxStrangers = 4096;

    private readonly SiloEndpoints _endpoints;
    private readonly GridCertificate _certificate;
    private readonly IEnumerable<IGridRoutes> _routes;
    private readonly IGrainLinks? _grains;
    private readonly SessionRegistry _sessions;
    private readonly RevokedGateways _revoked;
    private readonly GridDrain _drain;
    private readonly ILoggerFactory _loggers;
    private readonly ILogger<GridServer> _logger;
    private readonly TimeProvider _time;
    private readonly PendingConnections _strangers = new(MaxStrangersPerAddress, MaxStrangers);
    private WebApplication? _app;

    public GridServer(
        SiloEndpoints endpoints,
        GridCertificate certificate,
        IEnumerable<IGridRoutes> routes,
        SessionRegistry sessions,
        RevokedGateways revoked,
        GridDrain drain,
        ILoggerFactory loggers,
        TimeProvider time,
        IGrainLinks? grains = null)
    {
        _endpoints = endpoints;
        _certificate = certificate;
        _routes = routes;
        _grains = grains;
        _sessions = sessions;
        _revoked = revoked;
        _drain = drain;
        _loggers = loggers;
        _logger = loggers.CreateLogger<GridServer>();
        _time = time;
    }

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        // A certificate that cannot be issued must stop the start, not the first handshake.
        _ = _certificate.Context;

        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ApplicationName = "relay-silo" });
        builder.Services.AddSingleton(_loggers);
        builder.Services.AddSingleton<IHostLifetime, NoLifetime>();
        builder.Services.AddRoutingCore();
        builder.WebHost.UseKestrel(Configure);
        builder.WebHost.UseSockets(sockets => sockets.CreateBoundListenSocket = _ => _endpoints.GridSocket);
        builder.Services.AddSingleton<IMemoryPoolFactory<byte>, BlockPoolFactory>();
        _app = builder.Build();
        _app.Use(GuardAsync);
        _app.UseRouting();
        _app.Use(AuthorizeAsync);
        foreach (var routes in _routes)
            routes.Map(_app);
        await _app.StartAsync(cancellationToken);
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        // In this order gateways are told why before their control streams end, and no stream is left to wait for.
        _sessions.EndAll("connection lost: the silo stopped", "the silo that carried it stops; connect again to go on");
        _drain.Begin();
        if (_app is null)
            return;
        using var limit = new CancellationTokenSource(StopDeadline, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        await _app.StopAsync(either.Token);
    }

    public async ValueTask DisposeAsync()
    {
        if (_app is not null)
            await _app.DisposeAsync();
    }

    private void Configure(KestrelServerOptions kestrel)
    {
        kestrel.AddServerHeader = false;
        // Streams carry whole sessions: flow control is the limit. Routes that read a message bound it themselves (GridJsonBody).
        kestrel.Limits.MaxRequestBodySize = null;
        kestrel.Limits.MinRequestBodyDataRate = null;
        kestrel.Limits.MinResponseDataRate = null;
        kestrel.Limits.MaxResponseBufferSize = StreamWindowBytes;
        kestrel.Limits.Http2.InitialStreamWindowSize = StreamWindowBytes;
        kestrel.Limits.Http2.InitialConnectionWindowSize = TunnelWire.ConnectionWindowBytes;
        kestrel.Limits.Http2.MaxStreamsPerConnection = MaxStreamsPerConnection;
        kestrel.Limits.Http2.KeepAlivePingDelay = PingInterval;
        kestrel.Limits.Http2.KeepAlivePingTimeout = PingInterval;
        kestrel.Listen(_endpoints.GridEndPoint, listen =>
        {
            listen.Protocols = HttpProtocols.Http2;
            listen.Use(CountAsync);
            listen.UseHttps(new TlsHandshakeCallbackOptions { HandshakeTimeout = HandshakeDeadline, OnConnection = _ => ValueTask.FromResult(TlsOptions()) });
            listen.Use(IdentifyAsync);
        });
    }

    private SslServerAuthenticationOptions TlsOptions() => new()
    {
        ServerCertificateContext = _certificate.Context,
        EnabledSslProtocols = System.Security.Authentication.SslProtocols.Tls13,
        CipherSuitesPolicy = TlsSocketStream.Suites,
        ApplicationProtocols = _grains is null ? [SslApplicationProtocol.Http2] : [SslApplicationProtocol.Http2, Grain],
        ClientCertificateRequired = true,
        CertificateChainPolicy = _certificate.ChainPolicy(),
        AllowRenegotiation = false,
        RemoteCertificateValidationCallback = (_, certificate, _, _) =>
            certificate is null || _certificate.TryReadPeer(certificate as X509Certificate2, out GridPeer _),
    };

    // Before TLS: whoever has not said who it is counts as a stranger, and makes room when there are too many (L29).
    private ConnectionDelegate CountAsync(ConnectionDelegate next) => async connection =>
    {
        using var stranger = _strangers.Add(
            (connection.RemoteEndPoint as System.Net.IPEndPoint)?.Address,
            () => connection.Abort(new ConnectionAbortedException("too many connections that have not said who they are")));
        connection.Features.Set(stranger);
        await next(connection);
    };

    // After TLS, once per connection: who is it, and is it HTTP/2 or grain calls.
    private ConnectionDelegate IdentifyAsync(ConnectionDelegate next) => async connection =>
    {
        var leaf = connection.Features.Get<ITlsConnectionFeature>()?.ClientCertificate;
        var known = _certificate.TryReadPeer(leaf, out var peer);
        if (known)
        {
            connection.Features.Set(new GridPeerFeature(peer, leaf!.NotBefore, leaf.NotAfter));
            connection.Features.Get<PendingConnections.Pending>()?.Dispose();
        }

        var protocol = connection.Features.Get<ITlsApplicationProtocolFeature>()?.ApplicationProtocol ?? default;
        if (_grains is null || !protocol.Span.SequenceEqual(Grain.Protocol.Span))
        {
            await next(connection);
            return;
        }

        if (!known || peer.Role != GridRole.Silo)
        {
            LogGrainLinkRefused(_logger, connection.RemoteEndPoint?.ToString() ?? "", known ? GridCertificates.UriFor(peer) : "no certificate");
            connection.Abort(new ConnectionAbortedException("grain calls are between silos"));
            return;
        }

        await using var stream = new ConnectionStream(connection);
        await _grains.AcceptAsync(stream, peer.Name, connection.ConnectionClosed);
    };

    // Nothing a peer sends may surface as a stack trace or end more than its own request.
    private async Task GuardAsync(HttpContext context, RequestDelegate next)
    {
        try
        {
            await next(context);
        }
        catch (Exception e) when (e is OperationCanceledException or ConnectionAbortedException or ConnectionResetException && context.RequestAborted.IsCancellationRequested)
        {
            // The peer went away; there is nobody to answer.
        }
        catch (Microsoft.AspNetCore.Http.BadHttpRequestException e)
        {
            await GridReply.RefuseAsync(context, e.StatusCode, "bad_request", e.Message);
        }
        catch (Exception e) when (StoreErrors.IsOutage(e) && !context.Response.HasStarted)
        {
            LogStoreAway(_logger, context.Request.Method, context.GetEndpoint()?.DisplayName ?? "no route", context.TraceIdentifier, e.Message);
            await GridReply.RefuseAsync(context, StatusCodes.Status503ServiceUnavailable, "store_unavailable", "the database cannot be reached, and this cannot be answered without it");
        }
        catch (SpoolFullException e) when (!context.Response.HasStarted)
        {
            await GridReply.RefuseAsync(context, StatusCodes.Status507InsufficientStorage, "spool_full", $"the database does not take this now and {e.Message}");
        }
        catch (Exception e)
        {
            LogRequestFailed(_logger, context.Request.Method, context.GetEndpoint()?.DisplayName ?? "no route", context.TraceIdentifier, e);
            if (context.Response.HasStarted)
                context.Abort();
            else
                await GridReply.RefuseAsync(context, StatusCodes.Status500InternalServerError, "internal", "the silo failed; its log has the request id");
        }
    }

    private Task AuthorizeAsync(HttpContext context, RequestDelegate next)
    {
        if (context.GetEndpoint() is not { } endpoint)
            return GridReply.RefuseAsync(context, StatusCodes.Status404NotFound, "not_found", "no such route");
        if (endpoint.Metadata.GetMetadata<GridRouteAccess>() is not { } access)
            return GridReply.RefuseAsync(context, StatusCodes.Status403Forbidden, "wrong_role", "this route is open to nobody");
        if (access.Role == GridRole.None)
            return next(context);
        if (context.Features.Get<GridPeerFeature>() is not { } peer)
            return GridReply.RefuseAsync(context, StatusCodes.Status401Unauthorized, "certificate_required", "a client certificate of this grid is needed: enrol first");
        if (_time.GetUtcNow() > peer.NotAfter)
            return GridReply.RefuseAsync(context, StatusCodes.Status401Unauthorized, "certificate_expired", "the connection's certificate has ended: enrol again and reconnect");
        if (peer.Peer.Role == GridRole.Gateway && _revoked.IsRevoked(peer.Peer.Name, peer.NotBefore))
            return GridReply.RefuseAsync(context, StatusCodes.Status403Forbidden, "gateway_revoked", $"the token of gateway {peer.Peer.Name} was revoked: enrol it with another one");
        return peer.Peer.Role == access.Role
            ? next(context)
            : GridReply.RefuseAsync(context, StatusCodes.Status403Forbidden, "wrong_role", $"{GridCertificates.UriFor(peer.Peer)} may not call this route");
    }

    // Signals are the outer host's: it stops this server in its turn.
    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
