using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Relay.Protocol.Ssh;

namespace Relay.Tests.Protocol.Ssh;

/// <summary>A small SSH server on our code: sessions run <c>sh -c</c>, direct-tcpip is refused. For real clients.</summary>
internal sealed class ExecServer : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly SshServerOptions _options;
    private readonly ISshServerAuthenticator _authenticator;
    private readonly ConcurrentBag<Task> _tasks = [];

    public ExecServer(SshServerOptions options, ISshServerAuthenticator authenticator)
    {
        _options = options;
        _authenticator = authenticator;
        _listener.Start();
        _tasks.Add(Task.Run(AcceptLoopAsync));
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    public ConcurrentQueue<SshConnection> Connections { get; } = new();

    public ConcurrentQueue<Exception> Errors { get; } = new();

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Stop();
        await Task.WhenAll(_tasks);
        _stop.Dispose();
    }

    /// <summary>Serves one accepted connection until it ends.</summary>
    public static async Task ServeAsync(SshConnection connection, CancellationToken cancellationToken)
    {
        await using var _ = connection;
        var sessions = new List<Task>();
        await foreach (var incoming in connection.IncomingAsync(cancellationToken))
        {
            switch (incoming)
            {
                case SshChannelOpen { ChannelType: "session" } open:
                    var channel = await open.AcceptAsync();
                    sessions.Add(Task.Run(() => SessionAsync(channel, cancellationToken), CancellationToken.None));
                    break;
                case SshChannelOpen open:
                    await open.RejectAsync(SshChannelOpenReason.AdministrativelyProhibited, "Only sessions here.");
                    break;
                case SshGlobalRequest request:
                    await request.ReplyAsync(false);
                    break;
            }
        }

        await Task.WhenAll(sessions);
    }

    private async Task AcceptLoopAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            Socket socket;
            try
            {
                socket = await _listener.AcceptSocketAsync(_stop.Token);
            }
            catch (Exception error) when (error is OperationCanceledException or SocketException or ObjectDisposedException)
            {
                return;
            }

            socket.NoDelay = true;
            _tasks.Add(Task.Run(() => ConnectionAsync(new NetworkStream(socket, ownsSocket: true))));
        }
    }

    private async Task ConnectionAsync(Stream stream)
    {
        try
        {
            var connection = await SshConnection.AcceptAsync(stream, _options, _authenticator, _stop.Token);
            Connections.Enqueue(connection);
            await ServeAsync(connection, _stop.Token);
        }
        catch (Exception error)
        {
            Errors.Enqueue(error);
        }
    }

    private static async Task SessionAsync(SshChannel channel, CancellationToken cancellationToken)
    {
        await using var _ = channel;
        var environment = new Dictionary<string, string>();
        while (true)
        {
            var next = await channel.ReadAsync(cancellationToken);
            if (next.Kind == SshChannelEventKind.Closed)
                return;
            if (next.Kind != SshChannelEventKind.Request)
                continue;
            if (next.RequestType == SshExecRequest.RequestType && SshExecRequest.TryParse(next.Data.Span, out var exec))
            {
                await channel.ReplyAsync(true, cancellationToken);
                await RunAsync(channel, exec.Command, environment, cancellationToken);
                return;
            }

            var known = next.RequestType == SshEnvironmentRequest.RequestType && SshEnvironmentRequest.TryParse(next.Data.Span, out var variable)
                && environment.TryAdd(variable.Name, variable.Value);
            if (next.WantReply)
                await channel.ReplyAsync(known, cancellationToken);
        }
    }

    private static async Task RunAsync(SshChannel channel, string command, Dictionary<string, string> environment, CancellationToken cancellationToken)
    {
        var start = new ProcessStartInfo("/bin/sh", ["-c", command]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in environment)
            start.Environment[name] = value;
        using var process = Process.Start(start)!;
        var input = CopyInputAsync(channel, process, cancellationToken);
        var output = CopyOutputAsync(process.StandardOutput.BaseStream, data => channel.WriteAsync(data, cancellationToken));
        var errors = CopyOutputAsync(process.StandardError.BaseStream, data => channel.WriteExtendedAsync(1, data, cancellationToken));
        await Task.WhenAll(output, errors);
        await process.WaitForExitAsync(cancellationToken);
        try
        {
            if (process.ExitCode > 128)
                await channel.SendRequestAsync(SshExitSignal.RequestType, false, new SshExitSignal(SignalName(process.ExitCode - 128), false, "").ToPayload(), cancellationToken);
            else
                await channel.SendRequestAsync(SshExitStatus.RequestType, false, new SshExitStatus((uint)process.ExitCode).ToPayload(), cancellationToken);
            await channel.SendEofAsync(cancellationToken);
            await channel.CloseAsync(cancellationToken);
        }
        catch (SshChannelClosedException)
        {
            // The client left first.
        }

        await input;
    }

    private static string SignalName(int number) => number switch { 9 => "KILL", 15 => "TERM", 2 => "INT", _ => "ABRT" };

    private static async Task CopyInputAsync(SshChannel channel, Process process, CancellationToken cancellationToken)
    {
        while (true)
        {
            var next = await channel.ReadAsync(cancellationToken);
            try
            {
                switch (next.Kind)
                {
                    case SshChannelEventKind.Data:
                        await process.StandardInput.BaseStream.WriteAsync(next.Data, cancellationToken);
                        break;
                    case SshChannelEventKind.Eof:
                        process.StandardInput.Close();
                        break;
                    case SshChannelEventKind.Closed:
                        return;
                    case SshChannelEventKind.Request when next.WantReply:
                        await channel.ReplyAsync(false, cancellationToken);
                        break;
                }
            }
            catch (IOException)
            {
                // The program does not read any more.
            }
        }
    }

    private static async Task CopyOutputAsync(Stream source, Func<ReadOnlyMemory<byte>, ValueTask> write)
    {
        var buffer = new byte[256 * 1024];
        try
        {
            while (await source.ReadAsync(buffer) is var count and > 0)
                await write(buffer.AsMemory(0, count));
        }
        catch (SshChannelClosedException)
        {
            source.Dispose();
        }
    }
}
