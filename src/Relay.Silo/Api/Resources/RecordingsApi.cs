using Dapper;
using Npgsql;
using Relay.Api;
using Relay.Silo.Api.Http;
using Relay.Silo.Recordings;
using Relay.Silo.Storage;

namespace Relay.Silo.Api.Resources;

/// <summary>sessions/{session}/recordings: what was recorded, and the recording itself.</summary>
internal sealed class RecordingsApi(NpgsqlDataSource database, IRecordingReader recordings)
{
    public static void Map(ApiRoutesBuilder routes)
    {
        routes.Map("GET", "/sessions/{session}/recordings", "list_recordings", "List a session's recordings", (HttpContext http, string session, RecordingsApi api) => api.ListAsync(http, session)).WithPages().Produces<Page<RecordingResource>>().Produces<ApiError>(404);
        routes.Map("GET", "/sessions/{session}/recordings/{recording}", "get_recording", "Read a recording as asciicast v2 lines", (HttpContext http, string session, string recording, RecordingsApi api) => api.GetAsync(http, session, recording))
            .Produces(200, contentType: "application/x-asciicast").Produces<ApiError>(404);
    }

    public static async Task<IReadOnlyList<RecordingResource>> ReadAsync(NpgsqlConnection connection, Guid sessionId, CancellationToken cancellationToken)
    {
        var rows = await connection.QueryAsync<RecordingRow>(new CommandDefinition("SELECT recording_no, title, started_at, ended_at FROM recording WHERE session_id = @sessionId ORDER BY recording_no", new { sessionId }, cancellationToken: cancellationToken));
        return [.. rows.Select(r => new RecordingResource { RecordingNo = r.RecordingNo, Title = r.Title, StartedAt = r.StartedAt, EndedAt = r.EndedAt })];
    }

    private async Task<IResult> ListAsync(HttpContext http, string session)
    {
        var query = new ListQuery(http);
        await using var connection = await database.OpenConnectionAsync(http.RequestAborted);
        var row = await SessionRow.FindAsync(connection, http, session, OwnOnly(http));
        var all = await ReadAsync(connection, row.SessionId, http.RequestAborted);
        return Reply.Ok(query.ToPage<RecordingResource>([.. all.Skip(query.Offset).Take(query.Size)], all.Count), ApiJson.Default.RecordingPage);
    }

    private async Task<IResult> GetAsync(HttpContext http, string session, string recording)
    {
        // SECURITY: what people typed and saw is for auditors and for themselves (L32c).
        Guid sessionId;
        await using (var connection = await database.OpenConnectionAsync(http.RequestAborted))
        {
            var row = await SessionRow.FindAsync(connection, http, session, OwnOnly(http));
            sessionId = row.SessionId;
            if (!int.TryParse(recording, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out var number)
                || (await ReadAsync(connection, sessionId, http.RequestAborted)).All(r => r.RecordingNo != number))
                throw ApiException.NotFound("recording", recording);
            // A replay is an access of its own, and it is written down before the first byte is shown.
            await AuditTrail.AppendAsync(connection, null, http.Actor(), "recording.replay", "session", sessionId.ToString("D"), "success", new() { ["recording"] = number }, http.RequestAborted);
            return new RecordingStream(recordings.ReadAsync(sessionId, number, http.RequestAborted));
        }
    }

    private static bool OwnOnly(HttpContext http) => (http.Caller().Roles & Roles.Auditors) == Roles.None;

    private sealed class RecordingStream(IAsyncEnumerable<ReadOnlyMemory<byte>> pieces) : IResult
    {
        public async Task ExecuteAsync(HttpContext httpContext)
        {
            try
            {
                await foreach (var piece in pieces.WithCancellation(httpContext.RequestAborted))
                {
                    if (!httpContext.Response.HasStarted)
                        httpContext.Response.ContentType = "application/x-asciicast";
                    await httpContext.Response.Body.WriteAsync(piece, httpContext.RequestAborted);
                }
            }
            catch (RecordingNotFoundException)
            {
                throw ApiException.NotFound("recording", "");
            }
            catch (RecordingDamagedException exception)
            {
                // After the first byte there is no status code left to say it with: the connection breaks off, unmistakably.
                if (httpContext.Response.HasStarted)
                    httpContext.Abort();
                else
                    throw new ApiException(409, ErrorCodes.Conflict, exception.Message);
            }
        }
    }

    private sealed class RecordingRow
    {
        public int RecordingNo { get; init; }

        public string Title { get; init; } = "";

        public DateTimeOffset StartedAt { get; init; }

        public DateTimeOffset? EndedAt { get; init; }
    }
}
