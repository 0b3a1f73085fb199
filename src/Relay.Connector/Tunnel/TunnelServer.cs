using System.Buffers;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Relay.Protocol.Tunnel;

namespace Relay.Connector.Tunnel;

/// <summary>Serves HTTP/2 on the connections the agent dialled: the tunnel's routes, nothing else. Caller disposes.</summary>
internal sealed class TunnelServer : IAsyncDisposable
{
    private readonly DialledTransport _transport = new();
    private readonly CancellationTokenSource _draining = new();
    private readonly WebApplication _app;
    private readonly MemoryPool<byte> _pool;

    public TunnelServer(TunnelRoutes routes, ILoggerFactory loggers)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ApplicationName = "relay-connector" });
        builder.Services.AddSingleton(QuietLoggers.For(loggers));
        builder.WebHost.UseKestrelCore();
        builder.Services.AddSingleton<IConnectionListenerFactory>(_transport);
        builder.Services.AddSingleton<IMemoryPoolFactory<byte>, BlockPoolFactory>();
        builder.WebHost.ConfigureKestrel(Configure);

        // A stop is asked of us by the connector, never by the console.
        builder.Services.AddSingleton<Microsoft.Extensions.Hosting.IHostLifetime, NoLifetime>();
        _app = builder.Build();
        _pool = _app.Services.GetRequiredService<IMemoryPoolFactory<byte>>().Create();
        _app.Run(context => routes.HandleAsync(context, _draining.Token));
    }

    public Task StartAsync(CancellationToken cancellationToken) => _app.StartAsync(cancellationToken);

    /// <summary>Serves a connection; the task of <see cref="DialledConnection.Completed"/> tells its end.</summary>
    /// <exception cref="InvalidOperationException">The server has stopped.</exception>
    public void Serve(DialledConnection connection)
    {
        connection.UsePool(_pool);
        if (!_transport.TryServe(connection))
            throw new InvalidOperationException("The tunnel server has stopped.");
    }

    /// <summary>Takes no more streams, lets the open ones finish, and cuts those that last longer than the limit.</summary>
    public async Task DrainAsync(TimeSpan limit, TimeProvider time)
    {
        // First the silos hear it, then GOAWAY: a stream opened in between is refused by a silo that knows where else to go.
        await _draining.CancelAsync();
        _transport.Stop();
        using var late = new CancellationTokenSource(limit, time);
        await _app.StopAsync(late.Token);
    }

    public async ValueTask DisposeAsync()
    {
        await _draining.CancelAsync();
        _transport.Stop();
        await _app.DisposeAsync();
        _pool.Dispose();
        _draining.Dispose();
    }

    private static void Configure(KestrelServerOptions kestrel)
    {
        kestrel.AddServerHeader = false;
        kestrel.Limits.MaxRequestBodySize = null;
        kestrel.Limits.MinRequestBodyDataRate = null;
        kestrel.Limits.MinResponseDataRate = null;
        kestrel.Limits.MaxResponseBufferSize = 1024 * 1024;
        kestrel.Limits.MaxRequestHeadersTotalSize = 16 * 1024;

        // An idle tunnel is not an idle connection. Not TimeSpan.MaxValue: Kestrel adds it to the present, which overflows, and the next
        // heartbeat closes a tunnel whose first request is still on its way.
        kestrel.Limits.KeepAliveTimeout = TimeSpan.FromDays(365);
        kestrel.Limits.Http2.InitialStreamWindowSize = TunnelWire.StreamWindowBytes;
        kestrel.Limits.Http2.InitialConnectionWindowSize = TunnelWire.ConnectionWindowBytes;
        kestrel.Limits.Http2.MaxStreamsPerConnection = TunnelWire.MaxStreamsPerConnection;
        kestrel.Limits.Http2.KeepAlivePingDelay = TunnelWire.PingInterval;
        kestrel.Limits.Http2.KeepAlivePingTimeout = TunnelWire.PingTimeout;
        kestrel.Listen(new DialledEndPoint(), listen => listen.Protocols = HttpProtocols.Http2);
    }

    private sealed class NoLifetime : Microsoft.Extensions.Hosting.IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
