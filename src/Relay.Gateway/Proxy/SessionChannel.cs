using Relay.Gateway.Access;
using Relay.Gateway.Recording;
using Relay.Gateway.Upstream;
using Relay.Protocol.Ssh;

namespace Relay.Gateway.Proxy;

/// <summary>
/// One session channel (RFC 4254 §6): collects terminal and environment, asks the silo when it is told what to run, opens the
/// target's channel, and then passes everything on both ways, in order.
/// </summary>
/// <param name="upstream">Null: a raw TCP target, which has no such channels; the user is told what to do instead.</param>
internal sealed class SessionChannel(ProxyContext context, UpstreamConnection? upstream, SshChannel user)
{
    private static readonly TimeSpan s_seenLimit = TimeSpan.FromSeconds(2);
    private const int MaxCommandBytes = 256 * 1024;
    private const uint SshStderr = 1; // SSH_EXTENDED_DATA_STDERR, RFC 4254 §5.2
    private readonly ChannelSetup _setup = new();
    private ChannelPermit? _agent;

    /// <summary>Runs until the channel is closed. Never throws.</summary>
    public async Task RunAsync()
    {
        try
        {
            if (await SetUpAsync() is { } relay)
            {
                await relay.RunAsync();
            }
        }
        catch (IOException)
        {
            // The user's connection or this channel is over.
        }

        await Quietly.CloseAsync(user);
        if (_agent is not null)
        {
            await context.RemoveAgentAsync(_agent);
        }
    }

    private async Task<ChannelRelay?> SetUpAsync()
    {
        while (true)
        {
            var read = await user.ReadAsync(CancellationToken.None);
            switch (read.Kind)
            {
                case SshChannelEventKind.Closed:
                    return null;
                case SshChannelEventKind.Eof:
                    // Nothing will be asked any more. (A command's EOF comes after the command.)
                    return null;
                case SshChannelEventKind.Request when read.RequestType is "shell" or "exec" or "subsystem":
                    return await StartAsync(read.RequestType, read.Data, read.WantReply);
                case SshChannelEventKind.Request:
                    var granted = await PrepareAsync(read.RequestType!, read.Data);
                    if (read.WantReply)
                    {
                        await user.ReplyAsync(granted, CancellationToken.None);
                    }

                    break;
            }
        }
    }

    private async ValueTask<bool> PrepareAsync(string request, ReadOnlyMemory<byte> payload)
    {
        switch (request)
        {
            case "pty-req":
                return _setup.TryAddTerminal(payload.Span);
            case "env":
                return _setup.TryAddVariable(payload.Span);
            case "window-change":
                return _setup.TryResize(payload.Span);
            case "auth-agent-req@openssh.com":
                return await AllowAgentAsync();
            case "x11-req":
                await context.Authority.AuthorizeAsync(new ChannelDemand.Unsupported("x11"), CancellationToken.None);
                return false;
            default:
                return false;
        }
    }

    private async ValueTask<bool> AllowAgentAsync()
    {
        if (_agent is not null)
        {
            return true;
        }

        var decision = await context.Authority.AuthorizeAsync(new ChannelDemand.AgentForwarding(), CancellationToken.None);
        if (decision.Permit is null)
        {
            // The request has no field for a reason, and the client goes on without: say it where the user looks.
            await user.WriteExtendedAsync(SshStderr, UserText.TerminalLines(decision.Message), CancellationToken.None);
            return false;
        }

        _agent = decision.Permit;
        context.AddAgent();
        _setup.Agent = true;
        return true;
    }

    private async Task<ChannelRelay?> StartAsync(string request, ReadOnlyMemory<byte> payload, bool wantReply)
    {
        // Valid only until the next read, and kept beyond it.
        var payloadCopy = payload.ToArray();
        if (!TryReadDemand(request, payloadCopy, out var demand))
        {
            return await RefuseAsync($"The {request} request is malformed.", wantReply);
        }

        var decision = await context.Authority.AuthorizeAsync(demand, CancellationToken.None);
        if (decision.Permit is null)
        {
            return await RefuseAsync(decision.Message, wantReply);
        }

        if (upstream is null)
        {
            await context.ReleaseAsync(decision.Permit, "failed", ("error", "not an SSH target"));
            return await RefuseAsync($"{context.Session.Login.Socket} carries plain TCP connections, not SSH.", wantReply);
        }

        SshChannel target;
        try
        {
            target = await upstream.OpenAsync(decision.Permit, "session", default, CancellationToken.None);
        }
        catch (SshChannelOpenException e)
        {
            await context.ReleaseAsync(decision.Permit, "failed", ("error", UserText.Line(e.Description)));
            return await RefuseAsync($"{context.Session.Upstream.Target} refused a session channel: {e.Description}", wantReply);
        }
        catch (IOException)
        {
            return await RefuseAsync($"The connection to {context.Session.Upstream.Target} is lost.", wantReply);
        }

        var started = false;
        try
        {
            started = await ReplayAsync(target, request, payloadCopy);
        }
        catch (SshChannelClosedException) when (!upstream.Completion.IsCompleted)
        {
            // Closed before it answered: what it sent before that, if anything, is passed on as it is.
            started = true;
        }
        catch (IOException)
        {
            // The connection to the target is lost; said below.
        }

        if (!started)
        {
            await Quietly.CloseAsync(target);
            await context.ReleaseAsync(decision.Permit, "failed", ("error", "the target refused to start it"));
            return await RefuseAsync($"{context.Session.Upstream.Target} refused to start {Describe(demand)}.", wantReply);
        }

        if (wantReply)
        {
            await user.ReplyAsync(true, CancellationToken.None);
        }

        return new ChannelRelay(context, upstream, user, target, decision.Permit, Record(demand), _setup.HasTerminal);
    }

    // All at once: one round trip to the target whatever was asked for.
    private async Task<bool> ReplayAsync(SshChannel target, string request, byte[] payload)
    {
        if (_setup.Agent)
        {
            await target.SendRequestAsync("auth-agent-req@openssh.com", false, default, CancellationToken.None);
        }

        Task<bool>? terminal = null;
        if (_setup.PtyPayload() is { } pty)
        {
            terminal = target.SendRequestAsync("pty-req", true, pty, CancellationToken.None).AsTask();
        }

        foreach (var variable in _setup.Environment)
        {
            await target.SendRequestAsync("env", false, variable, CancellationToken.None);
        }

        var started = await target.SendRequestAsync(request, true, payload, CancellationToken.None);
        if (terminal is not null && !await terminal && started)
        {
            await user.WriteExtendedAsync(SshStderr, UserText.TerminalLines($"{context.Session.Upstream.Target} gave no terminal."), CancellationToken.None);
        }

        return started;
    }

    private async Task<ChannelRelay?> RefuseAsync(string message, bool wantReply)
    {
        // The failure reply carries no text (RFC 4254 §5.4), so the reason goes to the user's stderr before it.
        await user.WriteExtendedAsync(SshStderr, UserText.TerminalLines(message), CancellationToken.None);
        if (wantReply)
        {
            await UntilSeenAsync();
            await user.ReplyAsync(false, CancellationToken.None);
        }

        return null;
    }

    // OpenSSH's client drops what it has not shown yet when the failure comes. Its answer to a request says that everything before was taken.
    private async Task UntilSeenAsync()
    {
        try
        {
            await user.SendRequestAsync("keepalive@openssh.com", true, default, CancellationToken.None).AsTask().WaitAsync(s_seenLimit, context.Session.Time);
        }
        catch (TimeoutException)
        {
            // It does not answer: refused without.
        }
    }

    private ChannelRecorder? Record(ChannelDemand demand)
    {
        var session = context.Session;
        if (!session.Recording.Enabled || demand is ChannelDemand.Sftp)
        {
            return null;
        }

        var command = demand switch
        {
            ChannelDemand.Exec exec => exec.Command,
            ChannelDemand.Subsystem subsystem => subsystem.Id,
            _ => null,
        };
        var header = new AsciicastHeader(_setup.Columns, _setup.Rows, session.Time.GetUtcNow(), session.Title, command, _setup.Term);
        void Fail(RecordingFailedException failure) =>
            session.End(new Sessions.SessionEnd($"recording failed: {failure.Message}", "This session has to be recorded, and the recording failed."));
        var recorder = new ChannelRecorder(
            new Sessions.SiloRecordingStore(session, Fail), session.NextRecording(), header, _setup.HasTerminal, session.Recording.Input, session.Time,
            failure =>
            {
                context.Metrics.OnRecordingFailed();
                Fail(failure);
            });
        if (command is not null)
        {
            recorder.Marker(command);
        }

        return recorder;
    }

    private static bool TryReadDemand(string request, ReadOnlySpan<byte> payload, out ChannelDemand demand)
    {
        demand = new ChannelDemand.Shell();
        var reader = new SshReader(payload);
        if (request == "shell")
        {
            return reader.IsAtEnd;
        }

        // A command that is not UTF-8 could not be shown to a policy as it will run.
        if (!reader.TryReadText(MaxCommandBytes, out var text) || !reader.IsAtEnd)
        {
            return false;
        }

        demand = request == "exec" ? new ChannelDemand.Exec(text) : text == "sftp" ? new ChannelDemand.Sftp() : new ChannelDemand.Subsystem(text);
        return true;
    }

    private static string Describe(ChannelDemand demand) => demand switch
    {
        ChannelDemand.Shell => "a shell",
        ChannelDemand.Exec => "the command",
        ChannelDemand.Sftp => "sftp",
        _ => "the subsystem",
    };
}
