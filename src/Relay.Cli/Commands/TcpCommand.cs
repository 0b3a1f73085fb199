using System.CommandLine;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Relay.Cli.Ssh;
using Relay.Protocol.Tunnel;

namespace Relay.Cli.Commands;

/// <summary><c>relay client tcp</c>: a raw TCP socket on a local port, or on standard input and output.</summary>
internal static class TcpCommand
{
    // Of a ProxyCommand whose program has gone: what it said last is on its way.
    private static readonly TimeSpan s_lastWords = TimeSpan.FromSeconds(5);

    /// <param name="socketName">The name as the gateway takes it.</param>
    public static Command Create(Func<string, string> socketName)
    {
        var host = Commands.Required("--host", "The socket", "-s");
        var listener = new Option<int?>("--listener", "-l") { Description = "Local port to listen on, on loopback (0: a free one); absent: stdin and stdout" };
        var stdio = new Option<bool>("--stdio") { Description = "Carry one connection over stdin and stdout (ProxyCommand); the default without --listener" };
        listener.Validators.Add(result =>
        {
            if (result.Tokens is [var token] && int.TryParse(token.Value, NumberStyles.None, CultureInfo.InvariantCulture, out var port) && port > ushort.MaxValue)
                result.AddError("--listener takes a port, 0 to 65535.");
        });
        return new Command("tcp", "Reach a TCP socket: on a local port, or over stdin and stdout").Alias("tls").With(host, listener, stdio).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var port = parsed.GetValue(listener);
            if (port is not null && parsed.GetValue(stdio))
                throw new CliException(ExitCode.Usage, "name --listener or --stdio, not both.");
            if (port is < 0)
                throw new CliException(ExitCode.Usage, "--listener takes a port, 0 to 65535.");
            var name = socketName(parsed.GetRequiredValue(host));
            using var local = port is { } number ? Listen(number) : null;
            var login = await SshLogin.PrepareAsync(context, api, TimeProvider.System, cancellationToken);
            await using var gateway = await GatewayConnection.OpenAsync(login, name, TimeProvider.System, cancellationToken);
            if (local is null)
            {
                await CarryAsync(gateway, cancellationToken);
                return;
            }
            var at = (IPEndPoint)local.LocalEndPoint!;
            context.Render.Out.WriteLine(context.Render.Json
                ? new JsonObject { ["socket"] = name, ["host"] = at.Address.ToString(), ["port"] = at.Port }.ToJsonString()
                : $"Listening on {at} for {name}. Ctrl-C ends it.");
            await ServeAsync(context, gateway, local, cancellationToken);
        });
    }

    private static Socket Listen(int port)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
            socket.Listen(512);
            return socket;
        }
        catch (SocketException e)
        {
            socket.Dispose();
            throw new CliException(ExitCode.Error, $"cannot listen on 127.0.0.1:{port} ({e.Message}).");
        }
    }

    private static async Task CarryAsync(GatewayConnection gateway, CancellationToken cancellationToken)
    {
        using var local = new StdioStream();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, OnSignal);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal);
        await using var remote = await gateway.ConnectAsync(null, cancellationToken);
        var ending = await StreamPump.RunAsync(local, remote, cancellationToken: stop.Token);
        if (ending is not StreamPumpEnding.Completed && !stop.IsCancellationRequested)
            throw ending == StreamPumpEnding.FirstAborted ? new CliException(ExitCode.Error, "standard output was closed.") : gateway.Ended();

        // ssh sends SIGHUP to its ProxyCommand as it leaves, and what it wrote before is still in the pipe. A person does not wait.
        void OnSignal(PosixSignalContext context)
        {
            context.Cancel = true;
            if (Console.IsInputRedirected && context.Signal != PosixSignal.SIGTERM)
                stop.CancelAfter(s_lastWords);
            else
                stop.Cancel();
        }
    }

    private static async Task ServeAsync(CommandContext context, GatewayConnection gateway, Socket local, CancellationToken cancellationToken)
    {
        using var signals = new StopSignals(cancellationToken);
        using var over = CancellationTokenSource.CreateLinkedTokenSource(signals.Stop, gateway.Closed);
        var connections = new HashSet<Task>();
        try
        {
            while (true)
            {
                var accepted = await local.AcceptAsync(over.Token);
                connections.RemoveWhere(c => c.IsCompleted);
                connections.Add(ServeOneAsync(context, gateway, accepted, over.Token));
            }
        }
        catch (OperationCanceledException)
        {
            await Task.WhenAll(connections);
            if (!signals.Stop.IsCancellationRequested)
                throw gateway.Ended();
        }
    }

    private static async Task ServeOneAsync(CommandContext context, GatewayConnection gateway, Socket accepted, CancellationToken cancellationToken)
    {
        // Disposed without its ends, it is reset: whoever connected must not take a refusal for an empty answer.
        await using var local = new SocketDuplexStream(accepted);
        try
        {
            await using var remote = await gateway.ConnectAsync((IPEndPoint)accepted.RemoteEndPoint!, cancellationToken);
            await StreamPump.RunAsync(local, remote, cancellationToken: cancellationToken);
        }
        catch (CliException e)
        {
            context.Render.Error.WriteLine($"Error: {e.Message}");
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException)
        {
            // Ctrl-C, or gone before it was served.
        }
    }
}
