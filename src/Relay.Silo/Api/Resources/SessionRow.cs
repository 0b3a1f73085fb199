using System.Buffers.Binary;
using System.Buffers.Text;
using Dapper;
using Npgsql;
using Relay.Api;
using Relay.Silo.Api.Http;

namespace Relay.Silo.Api.Resources;

/// <summary>A row of the table.</summary>
internal sealed class SessionRow
{
    /// <summary>The columns, FROM included.</summary>
    public const string Select = """
        SELECT s.session_id, s.user_id, s.user_email, s.socket_id, s.socket_name, s.session_type, s.ssh_user, s.client_ip, s.client_port, s.client_version, s.credential,
               s.gateway, s.silo, s.connector_id, s.connector_name, s.connector_silo, s.target, s."authorization", s.decision_id, s.policy_name, s.policy_version, s.reasons,
               s.start_time, s.end_time, s.outcome, s.kill_requested_at, s.killed_by, s.bytes_up, s.bytes_down, s.recording_state
        FROM session s
        """;

    public Guid SessionId { get; init; }

    public Guid UserId { get; init; }

    public string UserEmail { get; init; } = "";

    public Guid? SocketId { get; init; }

    public string SocketName { get; init; } = "";

    public string SessionType { get; init; } = "";

    public string SshUser { get; init; } = "";

    public string ClientIp { get; init; } = "";

    public int ClientPort { get; init; }

    public string ClientVersion { get; init; } = "";

    public string Credential { get; init; } = "{}";

    public string Gateway { get; init; } = "";

    public string Silo { get; init; } = "";

    public Guid? ConnectorId { get; init; }

    public string ConnectorName { get; init; } = "";

    public string ConnectorSilo { get; init; } = "";

    public string Target { get; init; } = "";

    public string Authorization { get; init; } = "";

    public Guid DecisionId { get; init; }

    public string PolicyName { get; init; } = "";

    public long PolicyVersion { get; init; }

    public string Reasons { get; init; } = "[]";

    public DateTimeOffset StartTime { get; init; }

    public DateTimeOffset? EndTime { get; init; }

    public string Outcome { get; init; } = "";

    public DateTimeOffset? KillRequestedAt { get; init; }

    public string KilledBy { get; init; } = "";

    public long BytesUp { get; init; }

    public long BytesDown { get; init; }

    public string RecordingState { get; init; } = "";

    /// <summary>One session of the caller's organization.</summary>
    /// <param name="ownOnly">True: another user's does not exist for this caller (L32c).</param>
    /// <exception cref="ApiException">404.</exception>
    public static async Task<SessionRow> FindAsync(NpgsqlConnection connection, HttpContext http, string session, bool ownOnly)
    {
        if (!Guid.TryParse(session, out var id))
            throw ApiException.NotFound("session", session);
        var caller = http.Caller();
        return await connection.QuerySingleOrDefaultAsync<SessionRow>(new CommandDefinition(
            Select + " WHERE s.session_id = @id AND s.organization_id = @OrganizationId AND (NOT @ownOnly OR s.user_id = @UserId)",
            new { id, caller.OrganizationId, ownOnly, caller.UserId }, cancellationToken: http.RequestAborted)) ?? throw ApiException.NotFound("session", session);
    }

    public SessionResource Describe() => new()
    {
        SessionId = SessionId,
        UserId = UserId,
        UserEmail = UserEmail,
        SocketId = SocketId,
        SocketName = SocketName,
        SessionType = SessionType,
        SshUser = SshUser,
        ClientIp = ClientIp,
        ClientPort = ClientPort,
        ClientVersion = ClientVersion,
        Credential = PolicyRows.Element(Credential),
        Gateway = Gateway,
        Silo = Silo,
        ConnectorId = ConnectorId,
        ConnectorName = ConnectorName,
        ConnectorSilo = ConnectorSilo,
        Hops = ConnectorSilo.Length == 0 ? 0 : ConnectorSilo == Silo ? 1 : 2,
        Target = Target,
        Authorization = Authorization,
        DecisionId = DecisionId,
        PolicyName = PolicyName,
        PolicyVersion = PolicyVersion,
        Reasons = PolicyRows.Element(Reasons),
        StartTime = StartTime,
        EndTime = EndTime,
        Outcome = Outcome,
        Killed = KillRequestedAt is not null,
        KilledBy = KilledBy,
        BytesUp = BytesUp,
        BytesDown = BytesDown,
        RecordingState = RecordingState,
        RecordingReason = SessionType == "ssh" ? "" : "raw bytes are not recorded",
    };
}

/// <summary>Where a list of sessions goes on: after this start time and id.</summary>
internal static class SessionCursor
{
    public static string Format(SessionRow last)
    {
        var bytes = new byte[24];
        BinaryPrimitives.WriteInt64BigEndian(bytes, last.StartTime.UtcTicks);
        last.SessionId.TryWriteBytes(bytes.AsSpan(8), bigEndian: true, out _);
        return Base64Url.EncodeToString(bytes);
    }

    /// <exception cref="ApiException">400: not one of ours.</exception>
    public static (DateTimeOffset? Time, Guid Id) Parse(string? text)
    {
        if (text is null)
            return (null, Guid.Empty);
        var bytes = new byte[24];
        if (text.Length != 32 || !Base64Url.IsValid(text, out var length) || length != 24 || !Base64Url.TryDecodeFromChars(text, bytes, out _))
            throw ListQuery.Bad("cursor", "is not one that this API handed out");
        var ticks = BinaryPrimitives.ReadInt64BigEndian(bytes);
        if (ticks < DateTimeOffset.UnixEpoch.Ticks || ticks > new DateTime(9000, 1, 1).Ticks)
            throw ListQuery.Bad("cursor", "is not one that this API handed out");
        return (new DateTimeOffset(ticks, TimeSpan.Zero), new Guid(bytes.AsSpan(8), bigEndian: true));
    }
}
