using System.Globalization;
using Relay.Gateway.Access;
using Relay.Gateway.Hosting;
using Relay.Gateway.Sessions;
using Relay.Gateway.Upstream;
using Relay.Protocol.Ssh;

namespace Relay.Gateway.Proxy;

/// <summary>Joins an authenticated user's connection with the session's target, channel by channel, until something ends the session.</summary>
/// <param name="upstream">Null: a raw TCP target, each channel has a stream of its own.</param>
internal sealed class SessionProxy(SshConnection user, GatewaySession session, Task<UpstreamConnection>? upstream, GatewayMetrics metrics, TimeProvider time)
{
    // A client that has been told why its channel did not open leaves by itself; then the text does not appear twice.
    private static readonly TimeSpan s_failureGrace = TimeSpan.FromSeconds(2);
    // On top of what the stream itself waits: the silo that ends a session may be another one than the silo that cut its way.
    private static readonly TimeSpan s_reason = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_lastData = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_farewell = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_targetFarewell = TimeSpan.FromSeconds(5);
    // Longer than anything is tried: two of a channel's chunks may be left.
    private static readonly TimeSpan s_lastRecords = (2 * Delivery.LongLimit) + TimeSpan.FromSeconds(10);

    private readonly ProxyContext _context = new(session, new ChannelPermit.Authority(session, metrics), metrics);
    private readonly TaskSet _channels = new();
    private volatile UpstreamFailedException? _failure;
    private volatile SessionEnd? _lost;
    private volatile bool _noMoreSessions;
    private int _rawConnections;

    /// <summary>Runs to the end; returns why it ended, after everything is recorded. Disposes the user's connection. Never throws.</summary>
    public async Task<SessionEnd> RunAsync()
    {
        using var stop = new CancellationTokenSource();
        var incoming = ServeUserAsync(stop.Token);
        var target = ServeTargetAsync(stop.Token);
        var limit = session.EndInTimeAsync(stop.Token);

        await Task.WhenAny(user.Completion, session.Ended);
        if (user.Completion.IsCompleted)
        {
            // A target that is lost ends its channels, and the client leaves at once: the cause is what was first.
            session.End(_failure is { } failure ? FailedEnd(failure) : _lost ?? (user.IsCut ? SessionEnd.ConnectionLost : SessionEnd.ClosedByUser));
        }

        var end = await session.Ended;
        if (end.Message is not null)
        {
            await FarewellAsync(end.Message);
        }

        session.SetTold();

        await stop.CancelAsync();
        await user.DisposeAsync();
        await Task.WhenAll(incoming, target, limit);
        await _channels.WaitAsync(s_lastRecords, time);
        return end;
    }

    private static SessionEnd FailedEnd(UpstreamFailedException failure) => new($"target not reached: {UserText.Line(failure.Message)}", failure.Message);

    private SessionEnd GoneEnd(SshException? error)
    {
        var target = session.Upstream.Target;
        return error switch
        {
            null => new SessionEnd("target closed the connection", $"{target} closed the connection."),
            { ByPeer: true } => new SessionEnd($"target closed the connection: {UserText.Line(error.Message)}", $"{target} closed the connection: {error.Message}"),
            _ => new SessionEnd($"the way to the target was lost: {UserText.Line(error.Message)}", $"The way to {target} was lost: {error.Message}"),
        };
    }

    private async Task FarewellAsync(string message)
    {
        try
        {
            // A user who does not read does not hold up the end.
            await user.DisconnectAsync(SshDisconnectReason.ByApplication, UserText.Line(message)).AsTask().WaitAsync(s_farewell, time);
        }
        catch (Exception e) when (e is TimeoutException or IOException)
        {
            // Closed below.
        }
    }

    private async Task ServeUserAsync(CancellationToken cancellationToken)
    {
        try
        {
            await foreach (var incoming in user.IncomingAsync(cancellationToken))
            {
                switch (incoming)
                {
                    case SshChannelOpen open:
                        _channels.Run(() => OpenGuardedAsync(open));
                        break;
                    case SshGlobalRequest request:
                        await AnswerUserAsync(request);
                        break;
                }
            }
        }
        catch (Exception e) when (e is OperationCanceledException or IOException)
        {
            // The connection is over.
        }
    }

    private async Task AnswerUserAsync(SshGlobalRequest request)
    {
        var granted = false;
        switch (request.RequestType)
        {
            case "no-more-sessions@openssh.com":
                granted = _noMoreSessions = true;
                break;
            case "tcpip-forward" or "streamlocal-forward@openssh.com":
                await _context.Authority.AuthorizeAsync(new ChannelDemand.Unsupported(request.RequestType), CancellationToken.None);
                break;
        }

        if (request.WantReply)
        {
            await request.ReplyAsync(granted, default);
        }
    }

    private async Task OpenGuardedAsync(SshChannelOpen open)
    {
        try
        {
            await OpenAsync(open);
        }
        catch (IOException)
        {
            // The user's connection is over.
        }
    }

    private async Task OpenAsync(SshChannelOpen open)
    {
        switch (open.ChannelType)
        {
            case "session":
                await OpenSessionAsync(open);
                break;
            case "direct-tcpip":
                await OpenForwardAsync(open);
                break;
            default:
                var what = UserText.Line(open.ChannelType);
                var refusal = await _context.Authority.AuthorizeAsync(new ChannelDemand.Unsupported(what), CancellationToken.None);
                var known = what is "x11" or "forwarded-tcpip" or "tun@openssh.com" or "direct-streamlocal@openssh.com" or "forwarded-streamlocal@openssh.com" or "auth-agent@openssh.com";
                await open.RejectAsync(known ? SshChannelOpenReason.AdministrativelyProhibited : SshChannelOpenReason.UnknownChannelType, refusal.Message);
                break;
        }
    }

    private async Task OpenSessionAsync(SshChannelOpen open)
    {
        if (_noMoreSessions)
        {
            await open.RejectAsync(SshChannelOpenReason.AdministrativelyProhibited, "This connection asked for no more sessions.");
            return;
        }

        if (upstream is null)
        {
            await new SessionChannel(_context, null, await open.AcceptAsync()).RunAsync();
        }
        else if (await TargetOrRejectAsync(open) is { } connection)
        {
            await new SessionChannel(_context, connection, await open.AcceptAsync()).RunAsync();
        }
    }

    private async Task OpenForwardAsync(SshChannelOpen open)
    {
        if (!TryReadForward(open.TypeData.Span, out var demand))
        {
            await open.RejectAsync(SshChannelOpenReason.AdministrativelyProhibited, "The direct-tcpip request is malformed.");
            return;
        }

        var decision = await _context.Authority.AuthorizeAsync(demand, CancellationToken.None);
        if (decision.Permit is null)
        {
            await open.RejectAsync(SshChannelOpenReason.AdministrativelyProhibited, UserText.Line(decision.Message));
            if (decision.Undecided && session.IsRaw && Volatile.Read(ref _rawConnections) == 0)
            {
                // No stream is left that would show that the session's silo is gone.
                session.End(new SessionEnd("connection lost: its silo does not have the session any more", decision.Message));
            }

            return;
        }

        var destination = $"{UserText.Line(demand.Address)}:{demand.Port}";
        if (session.IsRaw)
        {
            await RunRawAsync(open, decision.Permit, destination);
            return;
        }

        if (await TargetOrRejectAsync(open) is not { } connection)
        {
            return;
        }

        (string, string?)[] where = [("destination", destination)];
        SshChannel target;
        try
        {
            target = await connection.OpenAsync(decision.Permit, "direct-tcpip", open.TypeData, CancellationToken.None);
        }
        catch (SshChannelOpenException e)
        {
            await open.RejectAsync(e.Reason, $"{session.Upstream.Target}: {UserText.Line(e.Description)}");
            await _context.ReleaseAsync(decision.Permit, "failed", [.. where, ("error", UserText.Line(e.Description))]);
            return;
        }

        SshChannel accepted;
        try
        {
            accepted = await open.AcceptAsync();
        }
        catch (IOException)
        {
            await Quietly.CloseAsync(target);
            throw;
        }

        var (up, down) = await new ForwardChannel(_context, connection, accepted, target).RunAsync();
        await _context.ReleaseAsync(
            decision.Permit, "done", [.. where, ("bytes_up", up.ToString(CultureInfo.InvariantCulture)), ("bytes_down", down.ToString(CultureInfo.InvariantCulture))]);
    }

    private async Task RunRawAsync(SshChannelOpen open, ChannelPermit permit, string destination)
    {
        Interlocked.Increment(ref _rawConnections);
        try
        {
            await new RawConnection(_context, open, permit).RunAsync(destination, user.Closed);
        }
        finally
        {
            Interlocked.Decrement(ref _rawConnections);
        }
    }

    private async Task<UpstreamConnection?> TargetOrRejectAsync(SshChannelOpen open)
    {
        try
        {
            return await upstream!;
        }
        catch (UpstreamFailedException e)
        {
            await open.RejectAsync(SshChannelOpenReason.ConnectFailed, UserText.Line(e.Message));
        }
        catch (OperationCanceledException)
        {
            await open.RejectAsync(SshChannelOpenReason.ConnectFailed, "The session has ended.");
        }

        return null;
    }

    private async Task ServeTargetAsync(CancellationToken cancellationToken)
    {
        if (upstream is null)
        {
            // Its silo hears of it now: a session may wait for its first connection as long as it likes.
            await session.Events.ReportAsync("login", "done");
            return;
        }

        try
        {
            var connection = await upstream;
            await using (connection)
            {
                var incoming = ServeTargetRequestsAsync(connection, cancellationToken);
                await Task.WhenAny(connection.Completion, session.Ended);
                if (!session.Ended.IsCompleted)
                {
                    // What the target still said is on its way to the user.
                    if (connection.IsCut)
                    {
                        // Channels are open until the user has been told; a silo that broke the way off may be about to say why.
                        _lost = GoneEnd(connection.Error);
                        await _context.LastData.WaitAsync(s_lastData, time);
                        await Task.WhenAny(session.Ended, Task.Delay(s_reason, time, cancellationToken));
                    }
                    else
                    {
                        await _channels.WaitAsync(s_lastData, time);
                    }

                    session.End(GoneEnd(connection.Error));
                }

                await incoming;
                await CloseTargetAsync(connection);
            }
        }
        catch (UpstreamFailedException e)
        {
            _failure = e;
            metrics.OnUpstreamFailed(e.Failure.ToString().ToLowerInvariant());
            await Task.WhenAny(session.Ended, Task.Delay(s_failureGrace, time, cancellationToken));
            session.End(FailedEnd(e));
        }
        catch (OperationCanceledException)
        {
            // The session ended before its target was reached.
        }
    }

    private async Task CloseTargetAsync(UpstreamConnection connection)
    {
        try
        {
            await connection.CloseAsync().AsTask().WaitAsync(s_targetFarewell, time);
        }
        catch (Exception e) when (e is TimeoutException or IOException)
        {
            // Disposed by the caller.
        }
    }

    private async Task ServeTargetRequestsAsync(UpstreamConnection connection, CancellationToken cancellationToken)
    {
        try
        {
            await foreach (var incoming in connection.IncomingAsync(cancellationToken))
            {
                switch (incoming)
                {
                    case SshChannelOpen { ChannelType: "auth-agent@openssh.com" } open when _context.IsAgentAllowed:
                        _channels.Run(() => OpenAgentAsync(connection, open));
                        break;
                    case SshChannelOpen open:
                        await open.RejectAsync(SshChannelOpenReason.AdministrativelyProhibited, "not allowed in this session");
                        break;
                    case SshGlobalRequest { WantReply: true } request:
                        // hostkeys-00@openssh.com and others speak about the target, not about the gateway that the user sees.
                        await request.ReplyAsync(false, default);
                        break;
                }
            }
        }
        catch (Exception e) when (e is OperationCanceledException or IOException)
        {
            // The target's connection is over.
        }
    }

    private async Task OpenAgentAsync(UpstreamConnection connection, SshChannelOpen open)
    {
        try
        {
            SshChannel agent;
            try
            {
                agent = await user.OpenChannelAsync(open.ChannelType, default, CancellationToken.None);
            }
            catch (SshChannelOpenException e)
            {
                await open.RejectAsync(e.Reason, e.Description);
                return;
            }

            await new ForwardChannel(_context, connection, agent, await open.AcceptAsync()).RunAsync();
        }
        catch (IOException)
        {
            // A connection is over.
        }
    }

    // RFC 4254 §7.2: host to connect, port, originator address, originator port.
    // Port 0 is Relay's own: whichever port a raw TCP socket has.
    private bool TryReadForward(ReadOnlySpan<byte> data, out ChannelDemand.TcpForwarding demand)
    {
        demand = null!;
        var reader = new SshReader(data);
        if (!reader.TryReadText(255, out var host) || !reader.TryReadUInt32(out var port) || !reader.TryReadText(255, out _) || !reader.TryReadUInt32(out _)
            || !reader.IsAtEnd || host.Length == 0 || port > 65535 || (port == 0 && !session.IsRaw) || host.AsSpan().ContainsAnyInRange('\0', ' '))
        {
            return false;
        }

        demand = new ChannelDemand.TcpForwarding(host, (int)port);
        return true;
    }
}
