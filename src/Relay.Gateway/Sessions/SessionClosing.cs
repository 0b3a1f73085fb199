using Microsoft.Extensions.Logging;
using Relay.Gateway.Grid;
using Relay.Gateway.Hosting;
using Relay.Protocol.Grid;

namespace Relay.Gateway.Sessions;

/// <summary>What follows the end of every session: it is no longer among the live ones, is counted, and its silo is told. Safe for concurrent use.</summary>
internal sealed partial class SessionClosing(LiveSessions live, GatewayMetrics metrics, ILogger<SessionClosing> logger)
{
    /// <summary>Returns when the silo knows, or can not be told. Never throws.</summary>
    public async Task RunAsync(SiloSession session, SessionEnd end)
    {
        live.Remove(session);
        metrics.OnSessionEnded(session.BytesUp, session.BytesDown);
        LogEnded(logger, session.Id, end.Outcome, session.BytesUp, session.BytesDown);
        try
        {
            var request = new EndSessionRequest(end.Outcome, session.BytesUp, session.BytesDown);
            await Delivery.RetryForLongAsync(session, silo => silo.EndSessionAsync(session.Id, request, CancellationToken.None), late => LogEndIsLate(logger, session.Id, late.Message));
        }
        catch (GridException e)
        {
            // Its silo is gone: the reaper of the grid ends the row.
            LogEndNotDelivered(logger, session.Id, e.Message);
        }
    }

    [LoggerMessage(EventId = 3202, Level = LogLevel.Information, Message = "session ended")]
    private static partial void LogEnded(ILogger logger, Guid session, string outcome, long bytesUp, long bytesDown);

    [LoggerMessage(EventId = 3206, Level = LogLevel.Warning, Message = "no silo takes the end of a session; it is tried on")]
    private static partial void LogEndIsLate(ILogger logger, Guid session, string detail);

    [LoggerMessage(EventId = 3205, Level = LogLevel.Warning, Message = "the end of a session could not be delivered")]
    private static partial void LogEndNotDelivered(ILogger logger, Guid session, string detail);
}
