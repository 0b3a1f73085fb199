using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Relay.Protocol.Ssh;

namespace Relay.Tests.Gateway;

/// <summary>A target that lets every key in and does with each session channel what the test says, for what a stock sshd does rarely or not as root.</summary>
internal sealed class ScriptedTarget : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly SshPrivateKey _hostKey = SshPrivateKey.Generate(SshKeyKind.Ed25519);
    private readonly Func<SshChannel, Task> _script;
    private readonly Task _accepting;

    public ScriptedTarget(Func<SshChannel, Task> script)
    {
        _script = script;
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public EndPoint Address => _listener.LocalEndpoint;

    public string HostKeyLine => _hostKey.PublicKey.ToLine("target");

    /// <summary>Logged-in connections.</summary>
    public ConcurrentQueue<SshConnection> Connections { get; } = new();

    public async ValueTask DisposeAsync()
    {
        _listener.Stop();
        await _accepting;
        foreach (var connection in Connections)
        {
            await connection.DisposeAsync();
        }

        _hostKey.Dispose();
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var socket = await _listener.AcceptSocketAsync();
                _ = ServeAsync(new NetworkStream(socket, ownsSocket: true));
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Stopped.
        }
    }

    private async Task ServeAsync(Stream stream)
    {
        try
        {
            var connection = await SshConnection.AcceptAsync(stream, new SshServerOptions { HostKeys = [_hostKey] }, new Everybody());
            Connections.Enqueue(connection);
            await foreach (var incoming in connection.IncomingAsync())
            {
                if (incoming is SshChannelOpen open)
                {
                    _ = RunAsync(await open.AcceptAsync());
                }
            }
        }
        catch (IOException)
        {
            // The gateway left.
        }
    }

    private async Task RunAsync(SshChannel channel)
    {
        try
        {
            await _script(channel);
        }
        catch (IOException)
        {
            // The gateway left.
        }
    }

    private sealed class Everybody : ISshServerAuthenticator
    {
        public ValueTask<bool> IsAcceptableAsync(SshAuthRequest request, CancellationToken cancellationToken) => new(true);

        public ValueTask<SshAuthOutcome> AuthenticateAsync(SshAuthRequest request, CancellationToken cancellationToken) => new(SshAuthOutcome.Accept());
    }
}
