using System.Net;
using Relay.Protocol.Grid;
using Relay.Protocol.Ssh;
using Relay.Silo.Snapshots;

namespace Relay.Silo.Sessions;

/// <summary>Who a key says its holder is. <c>default</c>: nobody.</summary>
/// <param name="Message">Why not, when there is something to tell the holder; null otherwise.</param>
internal readonly record struct Identification(OrgSnapshot? Organization, OrgUser? User, SessionCredential? Credential, DateTimeOffset? ValidBefore, string? Message)
{
    public bool Known => User is not null;

    public GridIdentity? ToGridIdentity() => Organization is null || User is null || Credential is null
        ? null
        : new GridIdentity(Organization.OrganizationId, User.Id, User.Email, Credential.Kind, Credential.Id, ValidBefore);
}

/// <summary>
/// Turns a key or certificate into a user: a certificate by the organization whose user CA signed it and the user id it names, a plain key
/// by its registration, a device by its being there. The login name plays no part (L28). Whether the holder has proven the key is the caller's business.
/// </summary>
internal sealed class UserIdentifier(SnapshotCell snapshots, TimeProvider time)
{
    /// <param name="publicKey">Key or certificate blob.</param>
    /// <param name="source">The user's address, for a certificate's source-address.</param>
    public Identification Identify(ReadOnlySpan<byte> publicKey, IPAddress source)
    {
        if (SshCertificate.TryParse(publicKey, out var certificate, out _))
            return IdentifyCertificate(certificate, source);
        if (!SshPublicKey.TryParse(publicKey, out var key, out _))
            return default;
        return snapshots.TryFindKey(key.Fingerprint, out var organization, out var user)
            ? new Identification(organization, user, new SessionCredential(SessionCredential.KeyKind, key.Fingerprint, key.Fingerprint), null, null)
            : default;
    }

    /// <param name="deviceId">Whose tunnel it came through.</param>
    /// <param name="device">Null when it is nobody's.</param>
    public Identification Identify(Guid deviceId, out OrgDevice? device) => snapshots.TryFindDevice(deviceId, out var organization, out device, out var user)
        ? new Identification(organization, user, SessionCredential.Of(device), device.LoginValidUntil, null)
        : Refused("this device is not known any more");

    private Identification IdentifyCertificate(SshCertificate certificate, IPAddress source)
    {
        // A CA is a plain key that we know by its fingerprint: a certificate can never stand in for one (L21).
        if (!snapshots.TryFindByUserCa(certificate.SignatureKey.Fingerprint, out var organization))
            return default;
        if (certificate.Principals.Count != 1 || !Guid.TryParseExact(certificate.Principals[0], "D", out var userId))
            return Refused("the certificate does not name exactly one user");
        var check = certificate.Check(SshCertificateKind.User, organization.UserCa, time.GetUtcNow(), certificate.Principals[0], source);
        if (check != SshCertificateCheck.Valid)
            return Refused($"the certificate {Words(check)}");
        // L6: a restriction that is not enforced here must not be dropped silently.
        if (certificate.ForceCommand is not null)
            return Refused("the certificate has a force-command, which Relay does not serve");
        if (!organization.Users.TryGetValue(userId, out var user))
            return Refused("the certificate's user does not exist any more");
        var id = $"{certificate.KeyId} serial {certificate.Serial}";
        DateTimeOffset? validBefore = certificate.ValidBefore == DateTimeOffset.MaxValue ? null : certificate.ValidBefore;
        return new Identification(organization, user, new SessionCredential(SessionCredential.CertificateKind, id, organization.UserCa.Fingerprint), validBefore, null);
    }

    private static string Words(SshCertificateCheck check) => check switch
    {
        SshCertificateCheck.Expired => "has expired: get a new one (relay login, relay client ssh-config)",
        SshCertificateCheck.NotYetValid => "is not valid yet: compare the clocks",
        SshCertificateCheck.SourceAddressRefused => "may not be used from this address",
        SshCertificateCheck.UnknownCriticalOption or SshCertificateCheck.MalformedCriticalOption => "has a critical option that Relay does not know",
        _ => "does not hold",
    };

    private static Identification Refused(string message) => new(null, null, null, null, message);
}
