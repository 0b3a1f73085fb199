using System.Globalization;
using Relay.Gateway.Access;
using Relay.Gateway.Recording;
using Relay.Gateway.Upstream;
using Relay.Protocol.Ssh;

namespace Relay.Gateway.Proxy;

/// <summary>
/// A running session channel: one task per direction, each passing events on in the order they came, so that data, stderr,
/// exit status, EOF and close keep the sequence the target gave them. What must be recorded is recorded before it passes.
/// </summary>
internal sealed class ChannelRelay(ProxyContext context, UpstreamConnection upstream, SshChannel user, SshChannel target, ChannelPermit permit, ChannelRecorder? recorder, bool terminal)
{
    private readonly List<SftpOperation> _operations = [];
    private SftpWatcher? _sftp;
    private string? _exit;
    private string? _problem;
    private long _up;
    private long _down;

    /// <summary>Runs until both sides are closed and everything is recorded. Never throws.</summary>
    public async Task RunAsync()
    {
        if (permit.Demand is ChannelDemand.Sftp)
        {
            _sftp = new SftpWatcher(_operations.Add);
        }

        var up = GuardAsync(PassUpAsync, target);
        var down = GuardAsync(PassDownAsync, user);
        await up;
        await down;
        if (recorder is not null)
        {
            await recorder.DisposeAsync();
        }

        await context.ReleaseAsync(
            permit,
            _problem is null ? "done" : "failed",
            ("command", (permit.Demand as ChannelDemand.Exec)?.Command is { } command ? UserText.Clean(command) : null),
            ("exit", _exit),
            ("terminal", terminal ? "true" : null),
            ("bytes_up", _up.ToString(CultureInfo.InvariantCulture)),
            ("bytes_down", _down.ToString(CultureInfo.InvariantCulture)),
            ("file_bytes_written", _sftp?.WrittenBytes.ToString(CultureInfo.InvariantCulture)),
            ("error", _problem));
    }

    // A direction that has come to its end closes the side it leads to. Whatever else ends it closes both; the other direction then reads "closed".
    private async Task GuardAsync(Func<Task> pass, SshChannel to)
    {
        try
        {
            await pass();
            await CloseAsync(to);
        }
        catch (IOException)
        {
            // A side is closed or its connection is over.
            await CloseBothAsync();
        }
        catch (RecordingFailedException e)
        {
            _problem = e.Message;
            await CloseBothAsync();
        }
    }

    private async Task PassUpAsync()
    {
        while (true)
        {
            var read = await user.ReadAsync(CancellationToken.None);
            switch (read.Kind)
            {
                case SshChannelEventKind.Data:
                    if (recorder is not null)
                    {
                        await recorder.InputAsync(read.Data);
                    }

                    if (_sftp is not null && !await WatchSftpAsync(read.Data))
                    {
                        return;
                    }

                    await target.WriteAsync(read.Data, CancellationToken.None);
                    Count(ref _up, read.Data.Length, up: true);
                    break;
                case SshChannelEventKind.ExtendedData:
                    await target.WriteExtendedAsync(read.ExtendedType, read.Data, CancellationToken.None);
                    Count(ref _up, read.Data.Length, up: true);
                    break;
                case SshChannelEventKind.Eof:
                    await target.SendEofAsync(CancellationToken.None);
                    break;
                case SshChannelEventKind.Request:
                    var granted = await PassUserRequestAsync(read.RequestType!, read.WantReply, read.Data);
                    if (read.WantReply)
                    {
                        await user.ReplyAsync(granted, CancellationToken.None);
                    }

                    break;
                case SshChannelEventKind.Closed:
                    return;
            }
        }
    }

    private async Task PassDownAsync()
    {
        using var passing = context.LastData.Begin();
        while (true)
        {
            var read = await target.ReadAsync(CancellationToken.None);
            switch (read.Kind)
            {
                case SshChannelEventKind.Data:
                    if (recorder is not null)
                    {
                        await recorder.OutputAsync(read.Data, stderr: false);
                    }

                    await user.WriteAsync(read.Data, CancellationToken.None);
                    Count(ref _down, read.Data.Length, up: false);
                    break;
                case SshChannelEventKind.ExtendedData:
                    if (recorder is not null)
                    {
                        await recorder.OutputAsync(read.Data, stderr: true);
                    }

                    await user.WriteExtendedAsync(read.ExtendedType, read.Data, CancellationToken.None);
                    Count(ref _down, read.Data.Length, up: false);
                    break;
                case SshChannelEventKind.Eof:
                    await user.SendEofAsync(CancellationToken.None);
                    break;
                case SshChannelEventKind.Request:
                    await PassTargetRequestAsync(read.RequestType!, read.Data);
                    if (read.WantReply)
                    {
                        await target.ReplyAsync(false, CancellationToken.None);
                    }

                    break;
                case SshChannelEventKind.Closed:
                    return;
            }
        }
    }

    private async ValueTask<bool> PassUserRequestAsync(string request, bool wantReply, ReadOnlyMemory<byte> payload)
    {
        switch (request)
        {
            case "window-change":
                RecordResize(payload.Span);
                return await target.SendRequestAsync(request, wantReply, payload, CancellationToken.None);
            case "signal" or "break" or "xon-xoff" or "eow@openssh.com":
                return await target.SendRequestAsync(request, wantReply, payload, CancellationToken.None);
            default:
                return false;
        }
    }

    private async ValueTask PassTargetRequestAsync(string request, ReadOnlyMemory<byte> payload)
    {
        switch (request)
        {
            case "exit-status" or "exit-signal":
                NoteExit(request, payload.Span);
                await user.SendRequestAsync(request, false, payload, CancellationToken.None);
                break;
            case "xon-xoff" or "eow@openssh.com":
                await user.SendRequestAsync(request, false, payload, CancellationToken.None);
                break;
        }
    }

    private void RecordResize(ReadOnlySpan<byte> payload)
    {
        var reader = new SshReader(payload);
        if (recorder is not null && reader.TryReadUInt32(out var columns) && reader.TryReadUInt32(out var rows) && columns is > 0 and <= 10_000 && rows is > 0 and <= 10_000)
        {
            recorder.Resize((int)columns, (int)rows);
        }
    }

    private void NoteExit(string request, ReadOnlySpan<byte> payload)
    {
        var reader = new SshReader(payload);
        if (request == "exit-status")
        {
            _exit = reader.TryReadUInt32(out var status) ? status.ToString(CultureInfo.InvariantCulture) : null;
        }
        else
        {
            _exit = reader.TryReadText(32, out var signal) ? UserText.Line($"SIG{signal}") : null;
        }
    }

    private async ValueTask<bool> WatchSftpAsync(ReadOnlyMemory<byte> data)
    {
        var readable = _sftp!.Push(data.Span);
        foreach (var operation in _operations)
        {
            await context.Session.Events.ReportAsync(
                "sftp", "requested", ("operation", operation.Name), ("path", UserText.Clean(operation.Path)), ("target", operation.Target is null ? null : UserText.Clean(operation.Target)), ("flags", operation.Flags));
        }

        _operations.Clear();
        if (!readable)
        {
            _problem = "the client's sftp stream could not be read";
            await CloseBothAsync();
        }

        return readable;
    }

    private async Task CloseBothAsync()
    {
        await CloseAsync(target);
        await CloseAsync(user);
    }

    private async Task CloseAsync(SshChannel side)
    {
        if (side == user)
        {
            await context.UntilToldAsync(upstream);
        }

        await Quietly.CloseAsync(side);
    }

    private void Count(ref long own, int bytes, bool up)
    {
        own += bytes;
        if (up)
        {
            context.Session.AddUp(bytes);
        }
        else
        {
            context.Session.AddDown(bytes);
        }
    }
}
