using Relay.Policy;
using Relay.Silo.Snapshots;

namespace Relay.Silo.Sessions;

/// <summary>
/// The one authoriser of sessions (L22): opening, every channel, every stream and every re-evaluation come through here, and each
/// looks at the user, the credential and the socket as they are now.
/// </summary>
internal sealed class SessionAuthorizer(SnapshotCell snapshots, TimeProvider time)
{
    /// <summary>By the current snapshot of the session's organization.</summary>
    public SessionVerdict Evaluate(SessionFacts session, AccessAction action)
    {
        var decisionId = Guid.CreateVersion7();
        return snapshots.Find(session.OrganizationId) is { } snapshot
            ? Evaluate(snapshot, session, action, decisionId)
            : SessionVerdict.Refused(decisionId, 0, "the organization does not exist any more");
    }

    /// <summary>By that snapshot.</summary>
    public SessionVerdict Evaluate(OrgSnapshot snapshot, SessionFacts session, AccessAction action, Guid decisionId)
    {
        if (!snapshot.Users.TryGetValue(session.UserId, out var user))
            return SessionVerdict.Refused(decisionId, snapshot.Version, "the user does not exist any more");
        if (!Holds(snapshot, session))
            return SessionVerdict.Refused(decisionId, snapshot.Version, $"the {session.Credential.Kind} that proved the user is not accepted any more");
        if (!snapshot.Sockets.TryGetValue(session.SocketId, out var socket))
            return SessionVerdict.Refused(decisionId, snapshot.Version, "the socket does not exist any more");

        // The start is by the database's clock, which may be ahead of ours.
        var now = time.GetUtcNow();
        return SessionVerdict.Of(snapshot.Policies.Evaluate(
            new AccessRequest(user.Subject, socket.Facts, session.ClientIp, Country: null, now, action, decisionId) { SessionStartedAt = session.StartedAt < now ? session.StartedAt : now }));
    }

    /// <summary>Why the streams of an allowed session may not go on, by the current snapshot; null: they may.</summary>
    public SessionVerdict? WhyCut(LiveSession session)
    {
        if (snapshots.Find(session.Facts.OrganizationId) is not { } snapshot || !snapshot.Sockets.TryGetValue(session.Facts.SocketId, out var socket))
            return null;

        // Whom the target takes the user for is the socket's to say: a session as somebody else has outlived that.
        var why = socket.Target?.DefinedUsername is { } defined && defined != session.Facts.Username
            ? $"users of {socket.Name} are not {session.Facts.Username ?? "the connector's user"} there any more"
            : session.Ways().Select(w => w.WhyCut(snapshot, socket)).FirstOrDefault(w => w is not null);
        return why is null ? null : SessionVerdict.Refused(Guid.CreateVersion7(), snapshot.Version, why);
    }

    // A certificate's own end is not looked at here: it proves who logs in, and what ends a login later is a write to the
    // organization or the session's maximum duration. A withdrawn key or a replaced CA is such a write. Nor is the end of a device's
    // login: flows do not begin after it, those there are go on. A device that is revoked or gone is not in the snapshot.
    private static bool Holds(OrgSnapshot snapshot, SessionFacts session) => session.Credential.Kind switch
    {
        SessionCredential.CertificateKind => session.Credential.Fingerprint == snapshot.UserCa.Fingerprint,
        SessionCredential.KeyKind => snapshot.Keys.TryGetValue(session.Credential.Fingerprint, out var owner) && owner == session.UserId,
        SessionCredential.DeviceKind => Guid.TryParseExact(session.Credential.Id, "D", out var id)
            && snapshot.Devices.TryGetValue(id, out var device) && device.UserId == session.UserId && device.PublicKey == session.Credential.Fingerprint,
        _ => false,
    };
}
