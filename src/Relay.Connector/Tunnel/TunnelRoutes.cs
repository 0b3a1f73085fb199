using System.Globalization;
using System.Net.Sockets;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;
using Relay.Connector.Targets;
using Relay.Protocol.Tunnel;

namespace Relay.Connector.Tunnel;

/// <summary>What a silo may ask of the agent; see PROTOCOL.md. Safe for concurrent use.</summary>
internal sealed partial class TunnelRoutes
{
    private const int MaxGoodbyeBytes = 4096;

    private readonly EpochGate _epochs;
    private readonly BootClock _clock;
    private readonly TargetDialler _dialler;
    private readonly IBuiltInSshService? _ssh;
    private readonly TimeProvider _time;
    private readonly ILogger<TunnelRoutes> _logger;

    public TunnelRoutes(EpochGate epochs, BootClock clock, TargetDialler dialler, IBuiltInSshService? ssh, TimeProvider time, ILoggerFactory loggers)
    {
        _epochs = epochs;
        _clock = clock;
        _dialler = dialler;
        _ssh = ssh;
        _time = time;
        _logger = loggers.CreateLogger<TunnelRoutes>();
    }

    /// <param name="context">One request.</param>
    /// <param name="draining">Cancelled when the agent takes no more streams.</param>
    public Task HandleAsync(HttpContext context, CancellationToken draining)
    {
        var attachment = context.Features.GetRequiredFeature<Attachment>();
        return (context.Request.Method, context.Request.Path.Value) switch
        {
            ("POST", TunnelWire.ConnectPath) => ConnectAsync(context, attachment, draining),
            ("POST", TunnelWire.CheckPath) => CheckAsync(context),
            ("GET", TunnelWire.PingPath) => PingAsync(context, attachment),
            ("GET", TunnelWire.DrainPath) => DrainAsync(context, attachment, draining),
            ("POST", TunnelWire.ControlPath) => ControlAsync(context, attachment, draining),
            ("POST", TunnelWire.GoodbyePath) => GoodbyeAsync(context, attachment),
            _ => NotFoundAsync(context),
        };
    }

    private async Task ConnectAsync(HttpContext context, Attachment attachment, CancellationToken draining)
    {
        var headers = context.Request.Headers;
        if (!Guid.TryParse(headers[TunnelWire.SessionHeader], out var session)
            || !long.TryParse(headers[TunnelWire.EpochHeader], NumberStyles.None, CultureInfo.InvariantCulture, out var epoch)
            || !StreamTarget.TryParse(headers[TunnelWire.TargetHeader], out var target))
        {
            DuplexExchange.Refuse(context, StreamOpenError.Failed, "the request names no session, epoch or target");
            context.Response.StatusCode = StatusCodes.Status400BadRequest;
            return;
        }

        var until = long.TryParse(headers[TunnelWire.UntilHeader], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var limit) ? limit : (long?)null;
        if (!await MayOpenAsync(context, attachment, session, epoch, until))
            return;

        if (draining.IsCancellationRequested)
        {
            DuplexExchange.Refuse(context, StreamOpenError.NotAttached, "the connector is shutting down");
            return;
        }

        if (target.IsBuiltInSsh)
            await ServeBuiltInAsync(context, attachment, session);
        else if (target.IsUdp)
            await ServeUdpAsync(context, attachment, session, epoch, until, target);
        else
            await ServeTcpAsync(context, attachment, session, epoch, until, target);
    }

    /// <summary>False, and refused: the opener has lost this connector, or may have lost it while its request was on its way.</summary>
    private async ValueTask<bool> MayOpenAsync(HttpContext context, Attachment attachment, Guid session, long epoch, long? until)
    {
        await _epochs.Settled.WaitAsync(context.RequestAborted);

        // Both: what this tunnel was given, and what the opener believes. A silo that lost the connector fails one of them.
        if (epoch != attachment.Epoch || !_epochs.Admit(epoch))
        {
            LogStaleEpoch(session, epoch, _epochs.Highest);
            DuplexExchange.Refuse(context, StreamOpenError.StaleEpoch, string.Create(CultureInfo.InvariantCulture, $"epoch {epoch} is over; the connector has seen {_epochs.Highest}"));
            return false;
        }

        if (until is null || _clock.Now.TotalMilliseconds <= until)
            return true;
        LogLateOpen(session, epoch);
        DuplexExchange.Refuse(context, StreamOpenError.StaleEpoch, "the silo's right to open this stream ran out before it was open");
        return false;
    }

    private async Task CheckAsync(HttpContext context)
    {
        if (!StreamTarget.TryParse(context.Request.Headers[TunnelWire.TargetHeader], out var target) || target.IsBuiltInSsh)
        {
            DuplexExchange.Refuse(context, StreamOpenError.Failed, "the request names no target that could be dialled");
            context.Response.StatusCode = StatusCodes.Status400BadRequest;
            return;
        }

        try
        {
            if (target.IsUdp)
                await _dialler.CheckUdpAsync(target, context.RequestAborted);
            else
                await (await _dialler.DialAsync(target, context.RequestAborted)).DisposeAsync();
        }
        catch (StreamOpenException e)
        {
            DuplexExchange.Refuse(context, e.Error, e.Message);
        }
    }

    private async Task ServeTcpAsync(HttpContext context, Attachment attachment, Guid session, long epoch, long? until, StreamTarget target)
    {
        SocketDuplexStream socket;
        try
        {
            socket = await _dialler.DialAsync(target, context.RequestAborted);
        }
        catch (StreamOpenException e)
        {
            LogTargetNotReached(session, target.Address, e.Error.ToWire(), e.Message);
            DuplexExchange.Refuse(context, e.Error, e.Message);
            return;
        }

        // Dialling takes its time, too.
        if (!await MayOpenAsync(context, attachment, session, epoch, until))
        {
            await socket.DisposeAsync();
            return;
        }

        LogStreamAdmitted(session, epoch);
        try
        {
            await using (socket)
            await using (var stream = await DuplexExchange.AcceptAsync(context))
            {
                LogStreamOpened(session, target.Address);
                var counters = new StreamPumpCounters();
                var ending = await StreamPump.RunAsync(stream, socket, counters, CancellationToken.None);
                LogStreamClosed(session, target.Address, ending.ToString(), counters.FirstToSecond, counters.SecondToFirst);
            }
        }
        finally
        {
            LogStreamOver(session, epoch);
        }
    }

    private async Task ServeUdpAsync(HttpContext context, Attachment attachment, Guid session, long epoch, long? until, StreamTarget target)
    {
        Socket socket;
        try
        {
            socket = await _dialler.DialUdpAsync(target, context.RequestAborted);
        }
        catch (StreamOpenException e)
        {
            LogTargetNotReached(session, target.Address, e.Error.ToWire(), e.Message);
            DuplexExchange.Refuse(context, e.Error, e.Message);
            return;
        }

        using var owned = socket;
        if (!await MayOpenAsync(context, attachment, session, epoch, until))
            return;
        LogStreamAdmitted(session, epoch);
        try
        {
            await using var stream = await DuplexExchange.AcceptAsync(context);
            LogStreamOpened(session, target.Key);
            var relay = new DatagramRelay(stream, socket, TunnelWire.DatagramIdle, _time);
            var ending = await relay.RunAsync();
            LogStreamClosed(session, target.Key, ending.ToString(), relay.BytesUp, relay.BytesDown);
        }
        finally
        {
            LogStreamOver(session, epoch);
        }
    }

    private async Task ServeBuiltInAsync(HttpContext context, Attachment attachment, Guid session)
    {
        if (_ssh is null || attachment.Answer.SshCa is not { } ca)
        {
            DuplexExchange.Refuse(context, StreamOpenError.Unsupported, "the connector has no built-in SSH service");
            return;
        }

        LogStreamAdmitted(session, attachment.Epoch);
        try
        {
            await using var stream = await DuplexExchange.AcceptAsync(context);
            LogStreamOpened(session, "built-in-ssh");
            await _ssh.ServeAsync(stream, new BuiltInSshContext(ca, session), stream.Aborted);
        }
        finally
        {
            LogStreamOver(session, attachment.Epoch);
        }
    }

    private Task PingAsync(HttpContext context, Attachment attachment)
    {
        context.Response.Headers[TunnelWire.ClockHeader] = ((long)_clock.Now.TotalMilliseconds).ToString(CultureInfo.InvariantCulture);
        context.Response.Headers[TunnelWire.EpochHeader] = attachment.Epoch.ToString(CultureInfo.InvariantCulture);
        return Task.CompletedTask;
    }

    // The answer's headers say that the tunnel is up; its end says that the agent takes no more streams.
    private static async Task DrainAsync(HttpContext context, Attachment attachment, CancellationToken draining)
    {
        await context.Response.Body.FlushAsync(context.RequestAborted);
        var over = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var drained = draining.UnsafeRegister(static s => ((TaskCompletionSource)s!).TrySetResult(), over);
        using var retired = attachment.Retired.UnsafeRegister(static s => ((TaskCompletionSource)s!).TrySetResult(), over);
        using var aborted = context.RequestAborted.UnsafeRegister(static s => ((TaskCompletionSource)s!).TrySetResult(), over);
        await over.Task;
    }

    private static async Task ControlAsync(HttpContext context, Attachment attachment, CancellationToken draining)
    {
        using var over = CancellationTokenSource.CreateLinkedTokenSource(attachment.Retired, draining);
        await using var stream = await DuplexExchange.AcceptAsync(context);
        try
        {
            await TunnelLines.ReadAsync(stream, attachment.Hear, over.Token);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            // The tunnel is over, or no longer the agent's.
        }
    }

    private static async Task GoodbyeAsync(HttpContext context, Attachment attachment)
    {
        var buffer = new byte[MaxGoodbyeBytes];
        var length = await context.Request.Body.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, context.RequestAborted);
        try
        {
            if (JsonSerializer.Deserialize(buffer.AsSpan(0, length), TunnelJson.Default.Goodbye) is { Code: not null, Message: not null } goodbye)
            {
                attachment.Dismiss(goodbye);
                return;
            }
        }
        catch (JsonException)
        {
            // Falls through: null and garbage are the same refusal.
        }

        context.Response.StatusCode = StatusCodes.Status400BadRequest;
    }

    private static Task NotFoundAsync(HttpContext context)
    {
        context.Response.StatusCode = StatusCodes.Status404NotFound;
        return Task.CompletedTask;
    }
}
