using System.Net.Sockets;
using Relay.Protocol.Ssh;

namespace Relay.Connector.BuiltInSsh;

/// <summary>
/// A socket on which programs of one session find the user's agent: each connection is an "auth-agent@openssh.com"
/// channel back to them. The socket is in a folder only the user can enter, gone with the session.
/// </summary>
internal sealed class AgentForwarding : IAsyncDisposable
{
    private readonly SshConnection _connection;
    private readonly Socket _listener;
    private readonly CancellationTokenSource _stop = new();
    private readonly string _folder;
    private readonly Task _accepting;

    private AgentForwarding(SshConnection connection, string folder, Socket listener, string path)
    {
        _connection = connection;
        _folder = folder;
        _listener = listener;
        SocketPath = path;
        _accepting = AcceptAsync();
    }

    /// <summary>For SSH_AUTH_SOCK.</summary>
    public string SocketPath { get; }

    public static AgentForwarding Listen(SshConnection connection, LocalUser user)
    {
        var folder = Directory.CreateTempSubdirectory("relay-agent-").FullName;
        var path = Path.Combine(folder, "agent");
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        if (user.Uid != LocalUser.Current.Uid)
        {
            _ = Posix.ChangeOwner(path, user.Uid, user.Gid);
            _ = Posix.ChangeOwner(folder, user.Uid, user.Gid);
        }
        return new AgentForwarding(connection, folder, listener, path);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Dispose();
        await _accepting;
        _stop.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
                _ = ServeAsync(await _listener.AcceptAsync(_stop.Token));
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // The session ended.
        }
    }

    private async Task ServeAsync(Socket socket)
    {
        try
        {
            await using var stream = new NetworkStream(socket, ownsSocket: true);
            await using var channel = await _connection.OpenChannelAsync("auth-agent@openssh.com", default, _stop.Token);
            await Task.WhenAny(UpAsync(stream, channel), DownAsync(stream, channel));
        }
        catch (Exception e) when (e is OperationCanceledException or SshException or SshChannelOpenException or SshChannelClosedException or IOException)
        {
            // The program, the user's agent or the session went away.
        }
    }

    private async Task UpAsync(NetworkStream stream, SshChannel channel)
    {
        var buffer = new byte[16 * 1024];
        int read;
        while ((read = await stream.ReadAsync(buffer, _stop.Token)) > 0)
            await channel.WriteAsync(buffer.AsMemory(0, read), _stop.Token);
    }

    private async Task DownAsync(NetworkStream stream, SshChannel channel)
    {
        while (true)
        {
            var @event = await channel.ReadAsync(_stop.Token);
            if (@event.Kind is SshChannelEventKind.Closed or SshChannelEventKind.Eof)
                return;
            if (@event.Kind == SshChannelEventKind.Data)
                await stream.WriteAsync(@event.Data, _stop.Token);
        }
    }
}
