using System.Text.Json;
using Relay.Silo.History;
using Relay.Silo.Snapshots;
using Relay.Silo.Spool;

namespace Relay.Silo.Sessions;

/// <summary>From where and with what somebody asked for a session, for the record.</summary>
/// <param name="Version">What the user's program says it is.</param>
/// <param name="SessionType">"ssh", "tls" or "udp", of a socket that there is none of.</param>
internal sealed record SessionClient(int Port, string Version, string SessionType);

/// <summary>Writes what was decided about a request for a session; one that was allowed then lives here. Safe for concurrent use.</summary>
internal sealed partial class SessionEntry(SessionStore store, SessionRegistry registry, HistoryLog history, RepeatedRefusals repeated, ILogger<SessionEntry> logger)
{
    /// <summary>Longest text of a peer in a row.</summary>
    public const int MaxNameLength = 255;

    /// <summary>The session of an allowed request. Its row exists.</summary>
    /// <exception cref="SpoolFullException">It cannot be accounted for here.</exception>
    public async Task<LiveSession> AdmitAsync(SessionFacts facts, OrgSocket socket, SessionClient client, SessionVerdict verdict, CancellationToken cancellationToken)
    {
        if (socket.RecordingEnabled && history.Refusal is { } full)
            throw NoPlace(full);
        var row = Row(facts, socket, client, verdict);
        try
        {
            await store.InsertAsync(row, cancellationToken);
        }
        catch (SpoolFullException e)
        {
            LogNotKept(logger, verdict.DecisionId, e.Message);
            throw NoPlace(e.Message);
        }

        var session = new LiveSession(facts, verdict.Grant!.EndsAt) { Row = row };
        registry.Add(session, verdict.PolicyVersion);
        return session;
    }

    /// <summary>Writes a refusal, unless a device is refused the same again and again.</summary>
    /// <param name="socket">Null: there is none.</param>
    /// <returns>The id of the decision that is on record.</returns>
    public async Task<Guid> RefuseAsync(SessionFacts facts, OrgSocket? socket, SessionClient client, SessionVerdict verdict, CancellationToken cancellationToken)
    {
        if (facts.Credential.Kind == SessionCredential.DeviceKind && !repeated.IsNew(facts.Credential.Id, (facts.SocketName, verdict.Brief, verdict.PolicyVersion), verdict.DecisionId, out var former))
        {
            LogRepeated(logger, facts.Credential.Id, facts.SocketName, verdict.DecisionId);
            return former;
        }

        try
        {
            await store.InsertAsync(Row(facts, socket, client, verdict), cancellationToken);
        }
        catch (SpoolFullException e)
        {
            // Refused it is either way; whoever knocks must not be able to fill the disk.
            LogNotKept(logger, verdict.DecisionId, e.Message);
        }

        return verdict.DecisionId;
    }

    private static SessionRow Row(SessionFacts facts, OrgSocket? socket, SessionClient client, SessionVerdict verdict) => new()
    {
        SessionId = facts.Id,
        OrganizationId = facts.OrganizationId,
        UserId = facts.UserId,
        UserEmail = facts.Email,
        SocketId = socket?.Id,
        SocketName = facts.SocketName,
        SessionType = socket?.Target?.SocketType ?? client.SessionType,
        SshUser = facts.Username ?? "",
        ClientIp = facts.ClientIp.ToString(),
        ClientPort = Math.Clamp(client.Port, 0, 65535),
        ClientVersion = PlainText.Clean(client.Version, MaxNameLength),
        Credential = JsonSerializer.Serialize(facts.Credential, SessionJson.Default.SessionCredential),
        Gateway = facts.Gateway,
        Allowed = verdict.Allowed,
        DecisionId = verdict.DecisionId,
        PolicyName = verdict.Decision.PolicyName,
        PolicyVersion = verdict.PolicyVersion,
        Reasons = JsonSerializer.Serialize(SessionReason.Of(verdict), SessionJson.Default.IReadOnlyListSessionReason),
        Recorded = verdict.Allowed && socket is { RecordingEnabled: true },
    };

    // L32c: a session that nobody could account for does not begin; not here, but another silo may have a place for it.
    private static SpoolFullException NoPlace(string reason) => new($"there is no place for this session, which has to be recorded: {reason}");

    [LoggerMessage(4208, LogLevel.Error, "a session was not opened or its refusal not kept, decision {DecisionId}: {Reason}")]
    private static partial void LogNotKept(ILogger logger, Guid decisionId, string reason);

    [LoggerMessage(4210, LogLevel.Debug, "device {Device} was refused {Socket} once more, or too often at all: not kept, decision {DecisionId}")]
    private static partial void LogRepeated(ILogger logger, string device, string socket, Guid decisionId);
}
