using System.Net;
using System.Text.Json;
using Relay.Policy;
using Relay.Protocol.Grid;
using Relay.Silo.History;
using Relay.Silo.Snapshots;
using Relay.Silo.Spool;

namespace Relay.Silo.Sessions;

/// <summary>
/// Opens sessions: who, which socket, may they, how to log in. A refusal is an answer and a row of history; a socket that does not exist
/// and one that is forbidden are refused alike.
/// </summary>
internal sealed partial class SessionOpener(
    UserIdentifier identifier,
    SessionAuthorizer authorizer,
    SessionStore store,
    SessionRegistry registry,
    HistoryLog history,
    UpstreamCredentials credentials,
    TimeProvider time,
    ILogger<SessionOpener> logger)
{
    private const int MaxNameLength = 255;

    /// <param name="gateway">The caller's name, from its certificate.</param>
    /// <param name="publicKey">The proven key or certificate blob.</param>
    /// <exception cref="SpoolFullException">It is allowed, and cannot be accounted for here.</exception>
    public async Task<OpenSessionResponse> OpenAsync(string gateway, OpenSessionRequest request, ReadOnlyMemory<byte> publicKey, IPAddress clientIp, CancellationToken cancellationToken)
    {
        var who = identifier.Identify(publicKey.Span, clientIp);
        var decisionId = Guid.CreateVersion7();
        if (who is not { Organization: { } organization, User: { } user, Credential: { } credential })
        {
            LogNotIdentified(logger, gateway, decisionId);
            return Refusal(Guid.Empty, decisionId, $"Access denied: {who.Message ?? "the key is not registered"}.\nDecision {decisionId:D}");
        }

        // Whatever was registered or signed then, decide by what holds now: one snapshot for all of it.
        var name = PlainText.Clean(request.Socket, MaxNameLength);
        var asked = request.UpstreamUser is { Length: > 0 } upstream and not "-" ? PlainText.Clean(upstream, MaxNameLength) : null;
        var socket = FindSocket(organization, name);
        var facts = new SessionFacts(
            Guid.CreateVersion7(), organization.OrganizationId, user.Id, user.Email, socket?.Id ?? Guid.Empty, socket?.Name ?? name,
            socket?.Target?.DefinedUsername ?? (socket?.Target is { UsesConnectorUser: true } or { IsRaw: true } ? null : asked), clientIp, gateway, credential, time.GetUtcNow());
        if (socket is null)
            return await RefuseUnknownAsync(organization, user, facts, request, decisionId, cancellationToken);

        var verdict = authorizer.Evaluate(organization, facts, new AccessAction.Connect(facts.Username), decisionId);
        if (verdict.Allowed && socket.RecordingEnabled && history.Refusal is { } full)
            throw NoPlace(full);
        var row = Row(facts, socket, request, verdict);
        try
        {
            await store.InsertAsync(row, cancellationToken);
        }
        catch (SpoolFullException e)
        {
            LogRefusalNotKept(logger, decisionId, e.Message);
            return verdict.Allowed ? throw NoPlace(e.Message) : Refusal(facts.Id, decisionId, verdict.Explain());
        }

        if (!verdict.Allowed)
            return Refusal(facts.Id, decisionId, verdict.Explain());

        var session = new LiveSession(facts, verdict.Grant!.EndsAt) { Row = row };
        registry.Add(session, organization.Version);
        try
        {
            var login = credentials.Create(session.Facts, socket);
            return session.Outcome is { } over
                ? Refusal(session.Id, decisionId, $"The session has ended: {over}.")
                : new OpenSessionResponse(true, session.Id, decisionId, null, login, new RecordingSettings(socket.RecordingEnabled, verdict.Decision.RecordInput), session.EndsAt);
        }
        catch (UpstreamUnavailableException e)
        {
            registry.End(session, $"failed: {e.Message}", e.Message, audit: null);
            return Refusal(session.Id, decisionId, $"Cannot connect: {e.Message}.");
        }
        catch
        {
            registry.End(session, "failed: no upstream credential", "the silo failed", audit: null);
            throw;
        }
    }

    // "db-host" or its DNS name "db-host.relay": socket names have no dots.
    private static OrgSocket? FindSocket(OrgSnapshot organization, string name)
    {
        var dot = name.IndexOf('.', StringComparison.Ordinal);
        return organization.SocketsByName.GetValueOrDefault(dot > 0 ? name[..dot] : name);
    }

    // SECURITY: what exists is told only to those who could reach it if it existed.
    private async Task<OpenSessionResponse> RefuseUnknownAsync(
        OrgSnapshot organization, OrgUser user, SessionFacts facts, OpenSessionRequest request, Guid decisionId, CancellationToken cancellationToken)
    {
        var asked = request.UpstreamUser is { Length: > 0 } name and not "-" ? PlainText.Clean(name, MaxNameLength) : null;
        var decision = organization.Policies.Evaluate(new AccessRequest(
            user.Subject, OrgSnapshot.Phantom(facts.SocketName), facts.ClientIp, Country: null, time.GetUtcNow(), new AccessAction.Connect(asked), decisionId));
        var verdict = decision.Allowed
            ? SessionVerdict.Refused(decisionId, organization.Version, $"there is no socket {facts.SocketName}")
            : SessionVerdict.Of(decision);
        try
        {
            await store.InsertAsync(Row(facts, null, request, verdict), cancellationToken);
        }
        catch (SpoolFullException e)
        {
            // Refused it is either way; whoever knocks must not be able to fill the disk.
            LogRefusalNotKept(logger, decisionId, e.Message);
        }

        return Refusal(facts.Id, decisionId, verdict.Explain());
    }

    private static SessionRow Row(SessionFacts facts, OrgSocket? socket, OpenSessionRequest request, SessionVerdict verdict) => new()
    {
        SessionId = facts.Id,
        OrganizationId = facts.OrganizationId,
        UserId = facts.UserId,
        UserEmail = facts.Email,
        SocketId = socket?.Id,
        SocketName = facts.SocketName,
        SessionType = socket?.Target?.SocketType ?? "ssh",
        SshUser = facts.Username ?? "",
        ClientIp = facts.ClientIp.ToString(),
        ClientPort = Math.Clamp(request.ClientPort, 0, 65535),
        ClientVersion = PlainText.Clean(request.ClientVersion, MaxNameLength),
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

    private static OpenSessionResponse Refusal(Guid sessionId, Guid decisionId, string message) =>
        new(false, sessionId, decisionId, message, null, null, null);

    [LoggerMessage(4208, LogLevel.Error, "a session was not opened or its refusal not kept, decision {DecisionId}: {Reason}")]
    private static partial void LogRefusalNotKept(ILogger logger, Guid decisionId, string reason);

    [LoggerMessage(4204, LogLevel.Information, "gateway {Gateway} asked for a session with a key that is nobody's, decision {DecisionId}")]
    private static partial void LogNotIdentified(ILogger logger, string gateway, Guid decisionId);
}
