using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Relay.Chaos.History;
using Relay.Chaos.Network;
using Relay.Protocol.Ssh;

namespace Relay.Chaos.Load;

/// <summary>How a session's echo comes about.</summary>
internal enum EchoKind
{
    /// <summary>exec of <c>cat</c>.</summary>
    Exec = 0,

    /// <summary>A forwarded TCP connection to a port that echoes.</summary>
    Forward,
}

/// <summary>
/// A user with our own SSH client: one connection, one channel, a numbered line every now and then that must come back, each once
/// and in order. One use.
/// </summary>
internal sealed class EchoSession
{
    public const string Node = "user";

    // Below the system's own choice: a port is used once per run, so that an address names one session.
    private static int s_port = 9_999;

    private static readonly TimeSpan OpenLimit = TimeSpan.FromSeconds(12);
    private static readonly TimeSpan Silence = TimeSpan.FromSeconds(60);
    private readonly NodeNetwork _network;
    private readonly RunHistory _history;
    private readonly SshPrivateKey _key;
    private readonly string _gateway;
    private readonly string _socket;
    private readonly EchoKind _kind;
    private readonly byte[] _line = new byte[64];
    private readonly StringBuilder _pending = new();
    private SshConnection? _connection;
    private SshChannel? _channel;

    public EchoSession(NodeNetwork network, RunHistory history, SshPrivateKey key, string gateway, string socket, EchoKind kind = EchoKind.Exec)
    {
        (_network, _history, _key, _gateway, _socket, _kind) = (network, history, key, gateway, socket, kind);
        Client = "";
    }

    /// <summary>This end of the connection; empty before it is made.</summary>
    public string Client { get; private set; }

    /// <summary>When the echo of each line came, by number.</summary>
    public List<double> Seen { get; } = [];

    /// <summary>Connects, logs in, starts, and gets the first echo. Null: it did; else why not.</summary>
    public async Task<string?> OpenAsync(CancellationToken stop)
    {
        using var late = new CancellationTokenSource(OpenLimit, TimeProvider.System);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(late.Token, stop);
        var step = "connect";
        try
        {
            var stream = await ConnectAsync(both.Token);
            step = "log in";
            _connection = await SshConnection.ConnectAsync(stream, new SshClientOptions { User = _socket, Key = _key, VerifyHostKey = static (_, _) => new(true), HandshakeTimeout = OpenLimit }, both.Token);
            step = "open a channel";
            if (_kind == EchoKind.Forward)
            {
                _channel = await _connection.OpenChannelAsync(SshTcpipOpen.Direct, new SshTcpipOpen(_network.Address(Grid.TargetHost.Node), Grid.TargetHost.EchoPort, "127.0.0.1", 1).ToTypeData(), both.Token);
            }
            else
            {
                _channel = await _connection.OpenChannelAsync("session", cancellationToken: both.Token);
                step = "start cat";
                if (!await _channel.SendRequestAsync(SshExecRequest.RequestType, true, new SshExecRequest("cat").ToPayload(), both.Token))
                    return await FailAsync("cat was refused");
            }

            step = "get an echo";
            if (await EchoAsync(both.Token) is { } wrong)
                return await FailAsync(wrong);
            _history.Add(new HistoryEvent(_history.Now, Kinds.ClientOpened) { Client = Client, Gateway = _gateway, Socket = _socket });
            return null;
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            return await FailAsync($"took too long to {step}");
        }
        catch (Exception e) when (e is IOException or SocketException or SshException or InvalidOperationException or OperationCanceledException)
        {
            return await FailAsync($"could not {step}: {e.Message}");
        }
    }

    /// <summary>Echoes until the session ends, one way or the other, and says so in the history.</summary>
    /// <param name="life">How long the user wants it.</param>
    /// <param name="enough">Ends it before.</param>
    public async Task RunAsync(TimeSpan life, TimeSpan interval, CancellationToken enough)
    {
        var begin = Stopwatch.GetTimestamp();
        string reason;
        var wanted = false;
        try
        {
            while (true)
            {
                if (Stopwatch.GetElapsedTime(begin) > life || enough.IsCancellationRequested)
                {
                    (wanted, reason) = (true, "the user left");
                    break;
                }

                await PauseAsync(interval, enough);
                using var silence = new CancellationTokenSource(Silence, TimeProvider.System);
                if (await EchoAsync(silence.Token) is { } wrong)
                {
                    reason = wrong;
                    break;
                }
            }
        }
        catch (OperationCanceledException)
        {
            reason = $"no echo for {Silence.TotalSeconds:0} s";
        }
        catch (Exception e) when (e is IOException or SshException)
        {
            reason = e.Message;
        }

        var why = wanted ? reason : _connection!.Error?.Message ?? reason;
        _history.Add(new HistoryEvent(_history.Now, Kinds.ClientClosed) { Client = Client, Gateway = _gateway, Socket = _socket, Good = wanted, Reason = why, LastAt = Seen.Count > 0 ? Seen[^1] : null, Count = Seen.Count });
        await CloseAsync();
    }

    public async Task CloseAsync()
    {
        try
        {
            // As `ssh` leaves when its input ends: the command sees the end, and the channel closes in order.
            if (_channel is not null && _connection is { Closed.IsCancellationRequested: false })
                await _channel.SendEofAsync();
            if (_connection is not null)
                await _connection.DisposeAsync();
        }
        catch (Exception e) when (e is IOException or SshException)
        {
            // It is closed already.
        }
    }

    private static async Task PauseAsync(TimeSpan interval, CancellationToken enough)
    {
        try
        {
            await Task.Delay(interval, TimeProvider.System, enough);
        }
        catch (OperationCanceledException)
        {
            // The loop sees it.
        }
    }

    private async Task<Stream> ConnectAsync(CancellationToken cancellationToken)
    {
        var socket = _network.Socket(Node);
        try
        {
            var port = Interlocked.Increment(ref s_port);
            socket.Bind(new IPEndPoint(IPAddress.Parse(_network.Address(Node)), port));
            Client = $"{_network.Address(Node)}:{port}";
            await socket.ConnectAsync(new IPEndPoint(IPAddress.Parse(_network.Address(_gateway)), Grid.ChaosGrid.SshPort), cancellationToken);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private async Task<string> FailAsync(string why)
    {
        var reason = _connection?.Error is { } error ? $"{why} ({error.Message})" : why;
        _history.Add(new HistoryEvent(_history.Now, Kinds.ClientFailed) { Client = Client, Gateway = _gateway, Socket = _socket, Reason = reason });
        await CloseAsync();
        return reason;
    }

    // One line there and back. Null: it came; else what came instead.
    private async Task<string?> EchoAsync(CancellationToken cancellationToken)
    {
        var number = Seen.Count;
        var length = Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{number}\n"), _line);
        await _channel!.WriteAsync(_line.AsMemory(0, length), cancellationToken);
        while (true)
        {
            var came = await _channel.ReadAsync(cancellationToken);
            switch (came.Kind)
            {
                case SshChannelEventKind.Closed:
                    return "the channel was closed";
                case SshChannelEventKind.Eof:
                    return "the echo ended";
                case SshChannelEventKind.Data:
                    _pending.Append(Encoding.ASCII.GetString(came.Data.Span));
                    if (_pending[^1] != '\n')
                        continue;
                    var line = _pending.ToString();
                    _pending.Clear();
                    if (line.TrimEnd('\n') != number.ToString(CultureInfo.InvariantCulture))
                    {
                        var reason = $"line {number} came back as '{line.TrimEnd('\n')}'";
                        _history.Add(new HistoryEvent(_history.Now, Kinds.Corrupted) { Client = Client, Gateway = _gateway, Socket = _socket, Reason = reason });
                        return reason;
                    }

                    Seen.Add(_history.Now);
                    return null;
            }
        }
    }
}
