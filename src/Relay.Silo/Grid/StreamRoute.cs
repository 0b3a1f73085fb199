using Relay.Policy;
using Relay.Protocol.Grid;
using Relay.Protocol.Tunnel;
using Relay.Silo.Connectors;
using Relay.Silo.Sessions;
using Relay.Silo.Snapshots;

namespace Relay.Silo.Grid;

/// <summary>A session's bytes: gateway ↔ this silo ↔ connector. Ends with the session, at once.</summary>
internal sealed partial class StreamRoute(
    SessionRegistry registry,
    SessionAuthorizer authorizer,
    SessionStore store,
    SnapshotCell snapshots,
    IStreamRouter router,
    PathHealth health,
    StreamMetrics metrics,
    ILogger<StreamRoute> logger) : IGridRoutes
{
    public void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost(GridRoutes.Sessions + "/{session:guid}/stream", StreamAsync).For(GridRole.Gateway);

    private async Task StreamAsync(HttpContext context)
    {
        if (await SessionRoutes.RequireSessionAsync(context, registry) is not { } session)
            return;

        // L27: what was allowed when the session opened may not be any more; dialling needs a grant of now.
        var verdict = authorizer.Evaluate(session.Facts, new AccessAction.Connect(session.Facts.Username));
        if (verdict.Grant is not { } grant || Target(session) is not { } target)
        {
            var message = verdict.Allowed ? "the socket cannot be reached any more" : verdict.Explain();
            context.Response.Headers[TunnelWire.ErrorHeader] = Uri.EscapeDataString(message);
            await GridReply.RefuseAsync(context, StatusCodes.Status403Forbidden, "denied", message);
            return;
        }

        if (!session.TryBeginStream())
        {
            await RefuseAsync(context, session, StreamOpenError.Failed, $"the session has ended: {session.Outcome}");
            return;
        }

        StreamWay? way = null;
        try
        {
            if (await OpenAsync(context, session, grant, target) is { } routed)
            {
                way = new StreamWay(routed.ConnectorId, routed.ConnectorName, routed.TokenId, routed.Target);
                await PumpAsync(context, session, routed, way);
            }
        }
        finally
        {
            session.StreamClosed(way);
        }
    }

    /// <summary>Null: refused, and the gateway has been told why.</summary>
    private async Task<RoutedStream?> OpenAsync(HttpContext context, LiveSession session, AccessGrant grant, ConnectorTarget target)
    {
        using var opening = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, session.Ended);
        try
        {
            return await router.OpenAsync(grant, session.Id, target, opening.Token);
        }
        catch (StreamOpenException e)
        {
            await RefuseAsync(context, session, e.Error, e.Message);
            return null;
        }
        catch (OperationCanceledException) when (session.Ended.IsCancellationRequested)
        {
            await RefuseAsync(context, session, StreamOpenError.Failed, $"the session has ended: {session.Outcome}");
            return null;
        }
    }

    private async Task PumpAsync(HttpContext context, LiveSession session, RoutedStream routed, StreamWay way)
    {
        await using var upstream = routed.Stream;
        // Of datagrams only the payload is the user's.
        var counters = routed.Target.IsUdp ? new DatagramCounters() : new StreamPumpCounters();
        session.StreamOpened(way, counters);
        metrics.OnOpened(routed.Hops);

        // A swap while it was being opened has not seen which way it goes.
        registry.StreamOpened(session);
        await store.SetWayAsync(session.Id, way, routed.Silo, context.RequestAborted);
        await using var user = await DuplexExchange.AcceptAsync(context);
        var ending = await StreamPump.RunAsync(user, routed.Stream, counters, session.Ended);
        LogStreamEnded(logger, session.Id, ending, counters.FirstToSecond, counters.SecondToFirst);

        // Nobody could know when it was opened. With another host to go to, the next session goes there until a check finds this one well.
        if (routed.Target.IsUdp && ending == StreamPumpEnding.SecondAborted && counters.SecondToFirst == 0)
            health.Failed(routed.ConnectorId, routed.Target, new StreamOpenException(StreamOpenError.Refused, $"{routed.Target.Address} takes no datagrams: nothing listens there"));
    }

    private async Task RefuseAsync(HttpContext context, LiveSession session, StreamOpenError error, string message)
    {
        LogNotOpened(logger, session.Id, error, message);
        var metadata = new Dictionary<string, string>(StringComparer.Ordinal) { ["error"] = error.ToWire(), ["message"] = message };
        await store.RecordEventAsync(session.Id, session.Facts.Gateway, "stream", "failed", metadata, CancellationToken.None);
        DuplexExchange.Refuse(context, error, message);
        await GridReply.RefuseAsync(context, context.Response.StatusCode, error.ToWire(), message);
    }

    private ConnectorTarget? Target(LiveSession session)
    {
        if (snapshots.Find(session.Facts.OrganizationId)?.Sockets.GetValueOrDefault(session.Facts.SocketId) is not { Target: { } target } socket)
            return null;
        return new ConnectorTarget(
            socket.Id,
            [.. socket.Connectors.Select(c => new ConnectorReference(c.Id, c.Name))],
            target.Hosts);
    }

    [LoggerMessage(4009, LogLevel.Information, "stream of session {SessionId} ended: {Ending}, {Up} bytes up, {Down} bytes down")]
    private static partial void LogStreamEnded(ILogger logger, Guid sessionId, StreamPumpEnding ending, long up, long down);

    [LoggerMessage(4010, LogLevel.Warning, "stream of session {SessionId} not opened: {Error}: {Reason}")]
    private static partial void LogNotOpened(ILogger logger, Guid sessionId, StreamOpenError error, string reason);
}
