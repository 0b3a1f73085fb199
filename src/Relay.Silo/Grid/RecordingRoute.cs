using Relay.Protocol.Grid;
using Relay.Silo.History;
using Relay.Silo.Recordings;
using Relay.Silo.Sessions;

namespace Relay.Silo.Grid;

/// <summary>Takes recording chunks from gateways, also shortly after a session's end.</summary>
internal sealed partial class RecordingRoute(HistoryLog history, TimeProvider time, ILogger<RecordingRoute> logger) : IGridRoutes
{
    public void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost(GridRoutes.Sessions + "/{session:guid}/recordings/{recording:int:min(0)}/chunks/{sequence:int:min(0)}", AppendAsync).For(GridRole.Gateway);

    private async Task AppendAsync(HttpContext context)
    {
        var session = SessionRoutes.RouteId(context);
        var recording = RouteNumber(context, "recording");
        var sequence = RouteNumber(context, "sequence");
        if (recording >= RecordingLimits.MaxRecordings)
        {
            await GridReply.RefuseAsync(context, StatusCodes.Status400BadRequest, "too_many_recordings", $"a session has at most {RecordingLimits.MaxRecordings} recordings");
            return;
        }

        if (await GridReply.ReadBytesAsync(context, RecordingLimits.MaxChunkBytes, time) is not { } chunk)
            return;
        var last = context.Request.Query["last"] == "true";
        var title = PlainText.Clean(context.Request.Query["title"].ToString(), RecordingLimits.MaxTitleLength);

        // What cannot be replayed must not be acknowledged.
        var result = ChunkInflater.TryInflate(chunk) is null
            ? FactResult.Malformed
            : await history.WriteAsync(
                new ChunkRecorded { SessionId = session, Gateway = context.GridPeer().Name, Recording = recording, Sequence = sequence, Title = title, Last = last, Gzip = chunk },
                context.RequestAborted);
        if (result == FactResult.Written)
        {
            context.Response.StatusCode = StatusCodes.Status204NoContent;
            return;
        }

        LogRefused(logger, session, recording, sequence, result);
        var (status, code, message) = result switch
        {
            FactResult.Gap => (StatusCodes.Status409Conflict, "gap", "an earlier chunk is missing"),
            FactResult.Ended => (StatusCodes.Status409Conflict, "recording_ended", "the recording has its last chunk"),
            FactResult.Malformed => (StatusCodes.Status400BadRequest, "bad_chunk", $"a chunk is gzip of at most {RecordingLimits.MaxInflatedBytes} bytes"),
            _ => (StatusCodes.Status404NotFound, "no_session", "there is no such recorded session of this gateway"),
        };
        await GridReply.RefuseAsync(context, status, code, message);
    }

    private static int RouteNumber(HttpContext context, string name) =>
        int.Parse((string)context.GetRouteValue(name)!, System.Globalization.CultureInfo.InvariantCulture);

    [LoggerMessage(4011, LogLevel.Warning, "chunk refused: session {SessionId}, recording {Recording}, chunk {Sequence}: {Result}")]
    private static partial void LogRefused(ILogger logger, Guid sessionId, int recording, int sequence, FactResult result);
}
