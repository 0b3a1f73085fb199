using System.Net;
using Relay.Policy;
using Relay.Protocol.Grid;
using Relay.Protocol.Ssh;
using Relay.Silo.Hosting;
using Relay.Silo.Sessions;
using Relay.Silo.Snapshots;

namespace Relay.Silo.Grid;

/// <summary>What gateways ask about users and sessions. A gateway acts only for sessions that it opened.</summary>
internal sealed class SessionRoutes(
    UserIdentifier identifier,
    SessionOpener opener,
    SessionRegistry registry,
    SessionAuthorizer authorizer,
    SessionStore store,
    SnapshotCell snapshots,
    HostKeyPins hostKeys,
    DrainState life,
    TimeProvider time) : IGridRoutes
{
    private const int MaxKeyBytes = 16 * 1024;
    private const int MaxMetadataEntries = 32;
    private const int MaxMetadataLength = 8 * 1024;

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost(GridRoutes.Identify, IdentifyAsync).For(GridRole.Gateway);
        routes.MapPost(GridRoutes.Sessions, OpenAsync).For(GridRole.Gateway);
        routes.MapPost(GridRoutes.Sessions + "/{session:guid}/authorize", AuthorizeAsync).For(GridRole.Gateway);
        routes.MapPost(GridRoutes.Sessions + "/{session:guid}/host_key", HostKeyAsync).For(GridRole.Gateway);
        routes.MapPost(GridRoutes.Sessions + "/{session:guid}/events", EventAsync).For(GridRole.Gateway);
        routes.MapPost(GridRoutes.Sessions + "/{session:guid}/end", EndAsync).For(GridRole.Gateway);
    }

    /// <summary>The session that the route names when it is live and the caller's; otherwise null, and the refusal has been written.</summary>
    internal static async Task<LiveSession?> RequireSessionAsync(HttpContext context, SessionRegistry registry)
    {
        var id = RouteId(context);
        if (await registry.FindOrAdoptAsync(id, context.GridPeer().Name, context.RequestAborted) is { Outcome: null } session)
            return session;
        await GridReply.RefuseAsync(context, StatusCodes.Status404NotFound, "no_session", "there is no such live session of this gateway");
        return null;
    }

    internal static Guid RouteId(HttpContext context) => Guid.Parse((string)context.GetRouteValue("session")!);

    private async Task IdentifyAsync(HttpContext context)
    {
        if (await GridReply.ReadAsync(context, GridJson.Default.IdentifyRequest, time) is not { } request)
            return;
        if (!TryReadUser(request.PublicKey, request.ClientIp, isDevice: false, out var key, out var ip))
        {
            await RefuseUserAsync(context);
            return;
        }

        var who = identifier.Identify(key, ip);

        // SECURITY: until the key is proven, only whether it is worth proving (L4).
        var answer = new IdentifyResponse(who.Known, who.Message, request.Proven ? who.ToGridIdentity() : null);
        await GridReply.WriteAsync(context, answer, GridJson.Default.IdentifyResponse);
    }

    private async Task OpenAsync(HttpContext context)
    {
        if (await GridReply.ReadAsync(context, GridJson.Default.OpenSessionRequest, time) is not { } request)
            return;
        // A device needs no key, and takes none: which of the two proves the user is never a question.
        if (!TryReadUser(request.PublicKey, request.ClientIp, request.Device is not null, out var key, out var ip))
        {
            await RefuseUserAsync(context);
            return;
        }

        if (string.IsNullOrEmpty(request.Socket))
        {
            await GridReply.RefuseAsync(context, StatusCodes.Status400BadRequest, "bad_message", "socket is missing");
            return;
        }

        if (life.IsDraining)
        {
            await GridReply.RefuseAsync(context, StatusCodes.Status503ServiceUnavailable, "draining", "this silo is shutting down: another one opens the session");
            return;
        }

        var answer = await opener.OpenAsync(context.GridPeer().Name, request, key, ip, context.RequestAborted);
        await GridReply.WriteAsync(context, answer, GridJson.Default.OpenSessionResponse);
    }

    private async Task AuthorizeAsync(HttpContext context)
    {
        if (await GridReply.ReadAsync(context, GridJson.Default.AuthorizeRequest, time) is not { } request)
            return;
        if (await RequireSessionAsync(context, registry) is not { } session)
            return;
        var socket = snapshots.Find(session.Facts.OrganizationId)?.Sockets.GetValueOrDefault(session.Facts.SocketId);
        if (!SessionActions.TryRead(request, session.Facts.Username, socket, out var action))
        {
            await GridReply.RefuseAsync(context, StatusCodes.Status400BadRequest, "bad_action", "the action is not known, or lacks what it needs");
            return;
        }

        var verdict = authorizer.Evaluate(session.Facts, action);

        // Tracked before the answer: a revocation from now on ends the session.
        if (verdict.Allowed && !session.TryTrack(verdict.DecisionId, action))
            verdict = SessionVerdict.Refused(verdict.DecisionId, verdict.PolicyVersion, "the session has too many open channels");
        try
        {
            await store.RecordDecisionAsync(session.Facts, request.Action, verdict, SessionActions.Metadata(request), context.RequestAborted);
        }
        catch
        {
            session.Release(verdict.DecisionId);
            throw;
        }

        // The snapshot may have been swapped since it was asked, before the action was tracked; and the session may be over.
        if (verdict.Allowed && (session.Outcome is not null || !authorizer.Evaluate(session.Facts, action).Allowed))
        {
            session.Release(verdict.DecisionId);
            verdict = SessionVerdict.Refused(verdict.DecisionId, verdict.PolicyVersion, session.Outcome ?? "access was revoked");
        }

        // A channel may be allowed for a shorter time than the session: by another policy, until another hour.
        registry.Bound(session, verdict.Grant?.EndsAt);
        var message = verdict.Allowed ? null : verdict.Explain();
        if (verdict.Decision.ReasonCode == ReasonCode.ActionNotApplicable && SessionActions.Advice(socket) is { } advice)
            message = $"{message}\n{advice}";
        await GridReply.WriteAsync(context, new AuthorizeResponse(verdict.Allowed, verdict.DecisionId, message), GridJson.Default.AuthorizeResponse);
    }

    private async Task HostKeyAsync(HttpContext context)
    {
        if (await GridReply.ReadAsync(context, GridJson.Default.HostKeyRequest, time) is not { } request)
            return;
        if (await RequireSessionAsync(context, registry) is not { } session)
            return;
        if (request.HostKey is not { Length: <= MaxKeyBytes } line || !SshPublicKey.TryParseLine(line, out var key, out _, out _))
        {
            await GridReply.RefuseAsync(context, StatusCodes.Status400BadRequest, "bad_key", "host_key is one OpenSSH public key line");
            return;
        }

        var answer = await hostKeys.CheckAsync(session.Facts, key, context.TraceIdentifier, context.RequestAborted);
        var metadata = new Dictionary<string, string>(StringComparer.Ordinal) { ["fingerprint"] = key.Fingerprint };
        await store.RecordEventAsync(session.Id, session.Facts.Gateway, "host_key", answer.Accepted ? "allowed" : "denied", metadata, context.RequestAborted);
        await GridReply.WriteAsync(context, answer, GridJson.Default.HostKeyResponse);
    }

    private async Task EventAsync(HttpContext context)
    {
        if (await GridReply.ReadAsync(context, GridJson.Default.SessionEventRequest, time) is not { } request)
            return;
        var metadata = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var (name, value) in (request.Metadata ?? new Dictionary<string, string>()).Take(MaxMetadataEntries))
            metadata[PlainText.Clean(name, 64)] = PlainText.Clean(value, MaxMetadataLength);

        var (id, gateway) = (RouteId(context), context.GridPeer().Name);

        // The gateway has it; and a channel that is over needs its grant no more; see GridRoutes.Events.
        var session = registry.Find(id, gateway);
        if (request.Status is "done" or "failed" && metadata.TryGetValue("decision_id", out var decision) && Guid.TryParse(decision, out var decisionId))
            session?.Release(decisionId);
        if (await store.RecordEventAsync(id, gateway, PlainText.Clean(request.Type, 64), PlainText.Clean(request.Status, 32), metadata, context.RequestAborted))
            context.Response.StatusCode = StatusCodes.Status204NoContent;
        else
            await GridReply.RefuseAsync(context, StatusCodes.Status404NotFound, "no_session", "there is no such session of this gateway");
    }

    private async Task EndAsync(HttpContext context)
    {
        if (await GridReply.ReadAsync(context, GridJson.Default.EndSessionRequest, time) is not { } request)
            return;
        if (await registry.EndByGatewayAsync(RouteId(context), context.GridPeer().Name, request, context.RequestAborted))
            context.Response.StatusCode = StatusCodes.Status204NoContent;
        else
            await GridReply.RefuseAsync(context, StatusCodes.Status404NotFound, "no_session", "there is no such session of this gateway");
    }

    private static bool TryReadUser(string? publicKey, string? clientIp, bool isDevice, out byte[] key, out IPAddress ip)
    {
        key = [];
        ip = IPAddress.None;
        if (publicKey is not { Length: <= MaxKeyBytes * 4 / 3 } || publicKey.Length == 0 != isDevice || !IPAddress.TryParse(clientIp, out var parsed))
            return false;
        var buffer = new byte[MaxKeyBytes];
        if (!Convert.TryFromBase64String(publicKey, buffer, out var length))
            return false;
        key = buffer[..length];
        ip = parsed.IsIPv4MappedToIPv6 ? parsed.MapToIPv4() : parsed;
        return true;
    }

    private static Task RefuseUserAsync(HttpContext context) =>
        GridReply.RefuseAsync(context, StatusCodes.Status400BadRequest, "bad_message", "public_key is a base64 blob of at most 16 KiB, or empty for a device, and client_ip an address");
}
