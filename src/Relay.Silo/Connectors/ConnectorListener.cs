using System.Collections.Concurrent;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using Relay.Protocol.Tunnel;

namespace Relay.Silo.Connectors;

/// <summary>
/// Accepts connectors. The accept loop awaits nothing but the next connection; TLS and attach run in a task of their own, under
/// one deadline and within <see cref="PendingConnections"/> (L29).
/// </summary>
internal sealed partial class ConnectorListener : IHostedService, IAsyncDisposable
{
    private const string LeavingMessage = "the silo is shutting down";
    private static readonly TimeSpan AcceptRetry = TimeSpan.FromMilliseconds(100);

    private readonly ConnectorListenerOptions _options;
    private readonly ConnectorAttacher _attacher;
    private readonly ConnectorTunnels _tunnels;
    private readonly TunnelKeeper _keeper;
    private readonly TunnelControl _control;
    private readonly PendingConnections _pending;
    private readonly TimeProvider _time;
    private readonly ILogger<ConnectorListener> _logger;
    private readonly ConcurrentDictionary<ConnectorTunnel, bool> _serving = new();
    private readonly CancellationTokenSource _leaving = new();
    private int _disposed;
    private readonly CancellationTokenSource _stop = new();
    private Task _accepting = Task.CompletedTask;

    public ConnectorListener(ConnectorListenerOptions options, ConnectorAttacher attacher, ConnectorTunnels tunnels, TunnelKeeper keeper, TunnelControl control, TimeProvider time, ILogger<ConnectorListener> logger)
    {
        _control = control;
        _options = options;
        _attacher = attacher;
        _tunnels = tunnels;
        _keeper = keeper;
        _time = time;
        _logger = logger;
        _pending = new PendingConnections(options.MaxPendingPerAddress, options.MaxPending);
    }

    public Task StartAsync(CancellationToken cancellationToken)
    {
        _options.Socket.Listen(4096);
        _accepting = AcceptAsync();
        return Task.CompletedTask;
    }

    /// <summary>
    /// Takes no more connectors and asks those that are here to attach elsewhere; they are served until they have. Returns at once:
    /// <see cref="Serving"/> tells who is left.
    /// </summary>
    public async Task LeaveAsync()
    {
        await _leaving.CancelAsync();
        await _stop.CancelAsync();
        _options.Socket.Dispose();
        await _accepting;
        await Task.WhenAll(_tunnels.Attached.Select(t => t.DismissAsync(AttachCodes.Draining, LeavingMessage)));
    }

    /// <summary>Tunnels whose connection is open, those included that only finish their streams.</summary>
    public int Serving => _serving.Count;

    /// <summary>Connectors that take streams here.</summary>
    public int Attached => _tunnels.Count;

    /// <summary>Streams of connectors that go through this silo.</summary>
    public int OpenStreams => _serving.Keys.Sum(t => t.OpenStreams);

    /// <summary>Closes whatever is left.</summary>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await LeaveAsync();
        var tunnels = _serving.Keys.ToArray();
        await Task.WhenAll(tunnels.Select(t => _keeper.ReleaseAsync(t)));
        foreach (var tunnel in tunnels)
            tunnel.Dispose();
    }

    public async ValueTask DisposeAsync()
    {
        // The container knows it as a service and as a hosted service, and disposes both.
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        await _stop.CancelAsync();
        _options.Socket.Dispose();
        await _accepting;
        _stop.Dispose();
        _leaving.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                var socket = await _options.Socket.AcceptAsync(_stop.Token);
                ThreadPool.UnsafeQueueUserWorkItem(static s => _ = s.Listener.HandleAsync(s.Socket), (Listener: this, Socket: socket), preferLocal: false);
            }
            catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException e)
            {
                if (_stop.IsCancellationRequested)
                    return;

                // Out of descriptors, or a connection that was gone before it was accepted: the next one may do.
                LogAcceptFailed(e.SocketErrorCode.ToString());
                await Task.Delay(AcceptRetry, _time, CancellationToken.None);
            }
        }
    }

    private async Task HandleAsync(Socket socket)
    {
        var remote = "";
        try
        {
            remote = socket.RemoteEndPoint?.ToString() ?? "";
            socket.NoDelay = true;
            ConnectorTunnel? tunnel;
            using (_pending.Add(socket))
            using (var late = new CancellationTokenSource(TunnelWire.AttachDeadline, _time))
            using (var stop = CancellationTokenSource.CreateLinkedTokenSource(late.Token, _stop.Token))
            {
                var tls = new TlsSocketStream(socket);
                try
                {
                    await tls.AuthenticateAsServerAsync(TlsOptions(), stop.Token);
                    tunnel = await _attacher.AttachAsync(tls, remote, stop.Token);
                }
                catch
                {
                    await tls.DisposeAsync();
                    throw;
                }
            }

            if (tunnel is not null)
            {
                // One that was attached while the others were being sent away goes after them.
                if (_leaving.IsCancellationRequested)
                    _ = tunnel.DismissAsync(AttachCodes.Draining, LeavingMessage);
                _serving[tunnel] = true;
                _ = _control.RunAsync(tunnel);
                await _keeper.RunAsync(tunnel);
                _serving.TryRemove(tunnel, out _);
            }
        }
        catch (Exception e) when (e is IOException or AuthenticationException or OperationCanceledException or ObjectDisposedException or SocketException)
        {
            // Strangers, probes and lost connections: one line for whoever looks, and nobody else notices.
            LogNotAttached(remote, e is OperationCanceledException ? "too slow" : e.Message);
            socket.Dispose();
        }
        catch (Exception e)
        {
            LogAttachFailed(remote, e);
            socket.Dispose();
        }
    }

    private SslServerAuthenticationOptions TlsOptions() => new()
    {
        ServerCertificateContext = _options.Certificate(),
        EnabledSslProtocols = SslProtocols.Tls13,
        CipherSuitesPolicy = TlsSocketStream.Suites,
        ApplicationProtocols = [new SslApplicationProtocol(AttachPreamble.Alpn)],
        ClientCertificateRequired = false,
        AllowRenegotiation = false,
        AllowTlsResume = false,
    };
}
