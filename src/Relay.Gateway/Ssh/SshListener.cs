using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Relay.Gateway.Hosting;
using Relay.Protocol.Ssh;

namespace Relay.Gateway.Ssh;

/// <summary>
/// Accepts users. Accepting waits for nobody: each connection has its own task, its own deadline and a place in the start-up
/// budget (L29). Caller disposes.
/// </summary>
internal sealed partial class SshListener(GatewayOptions options, UserConnection users, IReadOnlyList<SshPrivateKey> hostKeys, GatewayMetrics metrics, TimeProvider time, ILogger<SshListener> logger) : IDisposable
{
    private readonly StartupBudget _budget = new(options.StartupsPerAddress, options.Startups);
    private readonly CancellationTokenSource _stopLogins = new();
    private readonly Proxy.TaskSet _connections = new();
    private Socket? _socket;

    /// <summary>The address it listens on, after <see cref="Bind"/>.</summary>
    public IPEndPoint LocalEndPoint { get; private set; } = null!;

    /// <summary>Connections under way to a login.</summary>
    public int Startups => _budget.Count;

    /// <exception cref="SocketException">The address is taken or not this host's.</exception>
    public void Bind(IPEndPoint endPoint)
    {
        _socket = new Socket(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        if (endPoint.AddressFamily == AddressFamily.InterNetworkV6)
        {
            _socket.DualMode = true;
        }

        _socket.Bind(endPoint);
        _socket.Listen(1024);
        // Kept: it is asked for as long as sessions live, when nothing listens any more.
        LocalEndPoint = (IPEndPoint)_socket.LocalEndPoint!;
    }

    /// <summary>Accepts until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        while (!cancellationToken.IsCancellationRequested)
        {
            Socket accepted;
            try
            {
                accepted = await _socket!.AcceptAsync(cancellationToken);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (SocketException e) when (e.SocketErrorCode is SocketError.TooManyOpenSockets or SocketError.NoBufferSpaceAvailable)
            {
                // Out of descriptors: the old connections must end first; spinning would not help them.
                LogAcceptFailed(logger, e.SocketErrorCode);
                await Task.Delay(TimeSpan.FromMilliseconds(100), time, CancellationToken.None);
                continue;
            }
            catch (SocketException e)
            {
                // This one connection was gone before it was accepted.
                LogAcceptFailed(logger, e.SocketErrorCode);
                continue;
            }

            metrics.OnConnection();
            _connections.Run(() => ServeAsync(accepted));
        }
    }

    /// <summary>Stops accepting and cuts who has not logged in. Live sessions go on.</summary>
    public void StopAccepting()
    {
        _socket?.Dispose();
        _stopLogins.Cancel();
    }

    /// <summary>Waits for all connections; false when the limit has passed.</summary>
    public Task<bool> WaitAsync(TimeSpan limit) => _connections.WaitAsync(limit, time);

    public void Dispose()
    {
        _socket?.Dispose();
        _stopLogins.Dispose();
    }

    /// <summary>Serves a connection that a device made through its tunnel, to its end. Owns <paramref name="accepted"/>. Never throws.</summary>
    /// <param name="client">Where the device is: its address outside of the tunnel.</param>
    public async Task ServeAsync(Socket accepted, IPEndPoint client, DeviceLogin device)
    {
        using var cut = CancellationTokenSource.CreateLinkedTokenSource(_stopLogins.Token);
        metrics.OnConnection();
        using var place = _budget.Enter(device.Device, () => Cancel(cut));
        await ServeAsync(accepted, client, device, place, cut.Token);
    }

    private async Task ServeAsync(Socket accepted)
    {
        using var cut = CancellationTokenSource.CreateLinkedTokenSource(_stopLogins.Token);
        try
        {
            var client = (IPEndPoint)accepted.RemoteEndPoint!;
            if (client.Address.IsIPv4MappedToIPv6)
            {
                client = new IPEndPoint(client.Address.MapToIPv4(), client.Port);
            }

            using var place = _budget.Enter(client.Address, () => Cancel(cut));
            await ServeAsync(accepted, client, device: null, place, cut.Token);
        }
        catch (SocketException)
        {
            // Gone before it began.
        }
        finally
        {
            accepted.Dispose();
        }
    }

    private async Task ServeAsync(Socket accepted, IPEndPoint client, DeviceLogin? device, StartupBudget.Ticket place, CancellationToken cut)
    {
        try
        {
            accepted.NoDelay = true;
            accepted.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
            await using var stream = new NetworkStream(accepted, ownsSocket: true);
            await users.RunAsync(stream, client, device, hostKeys, place, cut);
        }
        catch (Exception e) when (e is SocketException or IOException or ObjectDisposedException)
        {
            // Gone before it began.
        }
        finally
        {
            accepted.Dispose();
        }
    }

    private static void Cancel(CancellationTokenSource cut)
    {
        try
        {
            cut.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // It ended by itself a moment ago.
        }
    }
}
