using System.Net;
using Relay.Policy;
using Relay.Protocol.Grid;
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
    SessionEntry entry,
    SessionRegistry registry,
    UpstreamCredentials credentials,
    TimeProvider time,
    ILogger<SessionOpener> logger)
{
    /// <param name="gateway">The caller's name, from its certificate.</param>
    /// <param name="publicKey">The proven key or certificate blob; not looked at when the request names a device.</param>
    /// <exception cref="SpoolFullException">It is allowed, and cannot be accounted for here.</exception>
    public async Task<OpenSessionResponse> OpenAsync(string gateway, OpenSessionRequest request, ReadOnlyMemory<byte> publicKey, IPAddress clientIp, CancellationToken cancellationToken)
    {
        OrgDevice? device = null;
        var who = request.Device is { } id ? identifier.Identify(id, out device) : identifier.Identify(publicKey.Span, clientIp);
        var decisionId = Guid.CreateVersion7();
        if (who is not { Organization: { } organization, User: { } user, Credential: { } credential })
        {
            LogNotIdentified(logger, gateway, decisionId);
            return Refusal(Guid.Empty, decisionId, $"Access denied: {who.Message ?? "the key is not registered"}.\nDecision {decisionId:D}");
        }

        // Whatever was registered or signed then, decide by what holds now: one snapshot for all of it.
        var name = PlainText.Clean(request.Socket, SessionEntry.MaxNameLength);
        var asked = request.UpstreamUser is { Length: > 0 } upstream and not "-" ? PlainText.Clean(upstream, SessionEntry.MaxNameLength) : null;
        var socket = FindSocket(organization, name);
        var facts = new SessionFacts(
            Guid.CreateVersion7(), organization.OrganizationId, user.Id, user.Email, socket?.Id ?? Guid.Empty, socket?.Name ?? name,
            socket?.Target?.DefinedUsername ?? (socket?.Target is { UsesConnectorUser: true } or { IsRaw: true } ? null : asked), clientIp, gateway, credential, time.GetUtcNow());
        var client = new SessionClient(request.ClientPort, request.ClientVersion, "ssh");
        var verdict = socket is null
            ? EvaluateUnknown(organization, user, facts, asked, decisionId)
            : authorizer.Evaluate(organization, facts, new AccessAction.Connect(facts.Username), decisionId);
        if (verdict.Allowed && device is not null && SessionVerdict.LoginEnded(device, organization, facts.StartedAt, decisionId) is { } ended)
            verdict = ended;
        if (socket is null || !verdict.Allowed)
            return Refusal(facts.Id, decisionId, verdict.Explain(await entry.RefuseAsync(facts, socket, client, verdict, cancellationToken)));

        var session = await entry.AdmitAsync(facts, socket, client, verdict, cancellationToken);
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
    private static SessionVerdict EvaluateUnknown(OrgSnapshot organization, OrgUser user, SessionFacts facts, string? asked, Guid decisionId)
    {
        var decision = organization.Policies.Evaluate(new AccessRequest(
            user.Subject, OrgSnapshot.Phantom(facts.SocketName), facts.ClientIp, Country: null, facts.StartedAt, new AccessAction.Connect(asked), decisionId));
        return decision.Allowed
            ? SessionVerdict.Refused(decisionId, organization.Version, $"there is no socket {facts.SocketName}")
            : SessionVerdict.Of(decision);
    }

    private static OpenSessionResponse Refusal(Guid sessionId, Guid decisionId, string message) =>
        new(false, sessionId, decisionId, message, null, null, null);

    [LoggerMessage(4204, LogLevel.Information, "gateway {Gateway} asked for a session with a key or device that is nobody's, decision {DecisionId}")]
    private static partial void LogNotIdentified(ILogger logger, string gateway, Guid decisionId);
}
