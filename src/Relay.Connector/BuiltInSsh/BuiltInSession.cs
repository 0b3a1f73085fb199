using Microsoft.Extensions.Logging;
using Relay.Protocol.Ssh;

namespace Relay.Connector.BuiltInSsh;

/// <summary>A "session" channel (RFC 4254 §6): what is asked for before the program, the program, its ends.</summary>
internal sealed class BuiltInSession(SshChannel channel, LocalUser user, Guid sessionId, ILogger logger)
{
    private const int MaximumVariables = 64;

    private readonly Dictionary<string, string> _environment = [];
    private SshPtyRequest? _terminalRequest;
    private PseudoTerminal? _terminal;
    private AgentForwarding? _agent;
    private SpawnedProgram? _program;
    private Task? _outputs;

    /// <summary>Never throws: what goes wrong ends this channel only.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            await ReadAsync(cancellationToken);
        }
        catch (Exception e) when (e is OperationCanceledException or SshException or SshChannelClosedException or IOException)
        {
            // Connection or channel are gone; the program learns it below.
        }
        finally
        {
            // As a vanished terminal would: programs that want to survive ignore it.
            _program?.Signal(1);
            _program?.Dispose();
            _terminal?.Dispose();
            await (_outputs ?? Task.CompletedTask);
            if (_agent is not null)
                await _agent.DisposeAsync();
            await channel.DisposeAsync();
        }
    }

    private async Task ReadAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            var @event = await channel.ReadAsync(cancellationToken);
            switch (@event.Kind)
            {
                case SshChannelEventKind.Data when _program is not null:
                    // False: the program does not read any more; what still comes is dropped, as a closed pipe would.
                    await _program.Input.WriteAsync(@event.Data, cancellationToken);
                    break;
                case SshChannelEventKind.Eof when _program is { Error: not null }:
                    _program.Input.Dispose();
                    break;
                case SshChannelEventKind.Request:
                    var done = Handle(@event, cancellationToken);
                    if (@event.WantReply)
                        await channel.ReplyAsync(done, cancellationToken);

                    // After the answer: a program that ends at once would otherwise close the channel before it.
                    if (_program is not null && _outputs is null)
                        _outputs = ProgramOutput.ForwardAsync(_program, channel, cancellationToken);
                    break;
                case SshChannelEventKind.Closed:
                    return;
            }
        }
    }

    private bool Handle(in SshChannelEvent request, CancellationToken cancellationToken)
    {
        var payload = request.Data.Span;
        switch (request.RequestType)
        {
            case SshPtyRequest.RequestType when _program is null && _terminalRequest is null && SshPtyRequest.TryParse(payload, out var pty):
                _terminalRequest = pty;
                return true;
            case SshEnvironmentRequest.RequestType when _program is null && SshEnvironmentRequest.TryParse(payload, out var variable):
                if (!LoginCommand.MayBeSet(variable.Name) || _environment.Count >= MaximumVariables)
                    return false;
                _environment[variable.Name] = variable.Value;
                return true;
            case "auth-agent-req@openssh.com" when _program is null && _agent is null:
                _agent = AgentForwarding.Listen(channel.Connection, user);
                return true;
            case "shell" when _program is null:
                return Start(LoginCommand.Argv(user, null), cancellationToken);
            case SshExecRequest.RequestType when _program is null && SshExecRequest.TryParse(payload, out var exec):
                return Start(LoginCommand.Argv(user, exec.Command), cancellationToken);
            case SshSubsystemRequest.RequestType when _program is null && SshSubsystemRequest.TryParse(payload, out var subsystem) && subsystem.Name == "sftp":
                return LoginCommand.Sftp(user) is { } sftp && Start(sftp, cancellationToken);
            case SshWindowChange.RequestType when _terminal is not null && SshWindowChange.TryParse(payload, out var size):
                _terminal.Resize(size.Columns, size.Rows, size.PixelWidth, size.PixelHeight);
                return true;
            case SshSignalRequest.RequestType when _program is not null && SshSignalRequest.TryParse(payload, out var signal) && SignalNames.Number(signal.Name) is { } number:
                _program.Signal(number);
                return true;
            default:
                return false;
        }
    }

    private bool Start(string[] argv, CancellationToken cancellationToken)
    {
        try
        {
            var environment = LoginCommand.Environment(user, _environment,
                ("TERM", _terminalRequest?.Terminal), ("SSH_AUTH_SOCK", _agent?.SocketPath), ("RELAY_SESSION_ID", sessionId.ToString()));
            if (_terminalRequest is { } pty)
            {
                _terminal = PseudoTerminal.Open(user);
                _terminal.Resize(pty.Columns, pty.Rows, pty.PixelWidth, pty.PixelHeight);
                _program = SpawnedProgram.WithTerminal(_terminal, argv, environment, user.Home);
            }
            else
            {
                _program = SpawnedProgram.WithPipes(argv, environment, user.Home);
            }
        }
        catch (IOException e)
        {
            BuiltInSshLog.StartFailed(logger, sessionId, e.Message);
            return false;
        }

        return true;
    }
}
