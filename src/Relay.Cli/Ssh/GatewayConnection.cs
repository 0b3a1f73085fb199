using System.Net;
using System.Net.Sockets;
using System.Text;
using Relay.Protocol.Ssh;
using Relay.Protocol.Tunnel;

namespace Relay.Cli.Ssh;

/// <summary>
/// A session with a raw TCP socket: one SSH connection to a gateway, with the user's certificate; each connection to the socket is a
/// channel in it. Safe for concurrent use. Caller disposes, which ends the session in order.
/// </summary>
internal sealed class GatewayConnection : IAsyncDisposable
{
    private static readonly TimeSpan s_keepAlive = TimeSpan.FromSeconds(30);
    private readonly SshConnection _ssh;
    private readonly string _socket;

    private GatewayConnection(SshConnection ssh, string socket) => (_ssh, _socket) = (ssh, socket);

    /// <summary>Cancelled when the session is over.</summary>
    public CancellationToken Closed => _ssh.Closed;

    /// <exception cref="CliException">No gateway there, or the session was refused: then with what it said (clause, fact, decision).</exception>
    public static async Task<GatewayConnection> OpenAsync(SshLogin login, string socket, TimeProvider time, CancellationToken cancellationToken)
    {
        using var key = login.LoadKey();
        var stream = await DialAsync(login, cancellationToken);
        var said = new StringBuilder();
        try
        {
            return new GatewayConnection(
                await SshConnection.ConnectAsync(
                    stream,
                    new SshClientOptions
                    {
                        User = socket,
                        Key = key,
                        Certificate = login.LoadCertificate(),
                        VerifyHostKey = (presented, _) => new(presented.Key.ToLine() == login.HostKey),
                        OnBanner = text => said.Append(text),
                        KeepAliveInterval = s_keepAlive,
                        TimeProvider = time,
                    },
                    cancellationToken),
                socket);
        }
        catch (SshException e)
        {
            throw Refused(said.Length > 0 ? said.ToString() : e.Message);
        }
    }

    /// <summary>One connection to the socket.</summary>
    /// <param name="from">Who connected here; null: standard input.</param>
    /// <exception cref="CliException">Refused, or the target is not reached.</exception>
    public async Task<DuplexStream> ConnectAsync(IPEndPoint? from, CancellationToken cancellationToken)
    {
        // Port 0: whichever the socket has.
        var destination = new SshTcpipOpen(_socket, 0, (from?.Address ?? IPAddress.Loopback).ToString(), from?.Port ?? 0);
        try
        {
            return new SshChannelStream(await _ssh.OpenChannelAsync(SshTcpipOpen.Direct, destination.ToTypeData(), cancellationToken));
        }
        catch (SshChannelOpenException e)
        {
            throw Refused(e.Description);
        }
        catch (SshException)
        {
            throw Ended();
        }
    }

    /// <summary>Why the session, or one connection of it, is over before its time.</summary>
    public CliException Ended() => Refused(_ssh.Ending is { } end ? end.Message : $"the connection to {_socket} was broken off by the other side.");

    public ValueTask DisposeAsync() => _ssh.DisposeAsync();

    // A denial explains itself, and has these words wherever it comes from.
    private static CliException Refused(string message)
    {
        var lines = message.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        return new CliException(message.Contains("Access denied: ", StringComparison.Ordinal) ? ExitCode.Denied : ExitCode.Error, string.Join("\n", lines));
    }

    private static async Task<Stream> DialAsync(SshLogin login, CancellationToken cancellationToken)
    {
        var (host, port) = login.Address;
        var connection = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await connection.ConnectAsync(host, port, cancellationToken);
            return new NetworkStream(connection, ownsSocket: true);
        }
        catch (SocketException e)
        {
            connection.Dispose();
            throw new CliException(ExitCode.Error, $"cannot reach the gateway at {host}:{port} ({e.Message}).");
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }
}
