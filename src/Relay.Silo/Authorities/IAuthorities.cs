using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography.X509Certificates;
using Relay.Protocol.Grid;
using Relay.Protocol.Ssh;
using Relay.Protocol.WireGuard;

namespace Relay.Silo.Authorities;

/// <summary>
/// Everything the grid signs: peers' certificates, tokens, users' and sessions' SSH certificates. The keys stay inside.
/// Safe for concurrent use.
/// </summary>
internal interface IAuthorities
{
    Guid GridId { get; }

    /// <summary>The grid's CA, without its private key.</summary>
    X509Certificate2 GridCa { get; }

    /// <summary>The one SSH host key that all gateways of the grid present.</summary>
    SshPrivateKey GatewayHostKey { get; }

    /// <summary>The one WireGuard static private key that all gateways of the grid have: 32 bytes. Empty: this silo was started from what an older version left on disk.</summary>
    ReadOnlyMemory<byte> WireGuardKey { get; }

    /// <summary>Its public key, which devices know; null when it is empty.</summary>
    WireGuardPublicKey? WireGuardPublicKey { get; }

    /// <summary>Issues a leaf for a key that is known to be the peer's; see <see cref="GridCertificates.Issue"/> for what it refuses.</summary>
    /// <param name="notBefore">Its validity begins then at the earliest; null: <see cref="GridCertificates.ClockSkew"/> ago.</param>
    /// <returns>Without a private key, valid <see cref="AuthorityLimits.GridCertificateLifetime"/>; the caller disposes it.</returns>
    X509Certificate2 IssueGridCertificate(GridPeer peer, PublicKey key, DateTimeOffset? notBefore = null);

    /// <summary>Token of a connector's agent; <paramref name="tokenId"/> is its row, without which it is worth nothing.</summary>
    /// <param name="silos">"host:port" addresses for connectors.</param>
    /// <param name="expires">Null: never.</param>
    string MintConnectorToken(Guid organizationId, Guid connectorId, Guid tokenId, IReadOnlyList<string> silos, DateTimeOffset? expires);

    /// <summary>Token with which a gateway enrols.</summary>
    /// <param name="silos">"host:port" grid addresses.</param>
    /// <param name="expires">Null: never.</param>
    string MintGatewayToken(Guid tokenId, IReadOnlyList<string> silos, DateTimeOffset? expires);

    /// <summary>Token of an API login.</summary>
    string MintUserToken(Guid organizationId, Guid userId, Guid loginSessionId, DateTimeOffset expires);

    /// <summary>True when this grid signed the token for this use and it has not expired. Whether it was revoked, its row says.</summary>
    /// <param name="type">One of <see cref="TokenTypes"/>.</param>
    bool TryVerifyToken(string token, string type, [NotNullWhen(true)] out VerifiedToken? verified);

    /// <summary>As <see cref="TryVerifyToken"/>, telling an expired token from a foreign one; <paramref name="verified"/> is set for both good and expired ones.</summary>
    TokenVerdict Verify(string token, string type, out VerifiedToken? verified);

    /// <summary>Certifies a user's own key: principal is the user's id, key id the e-mail address.</summary>
    /// <param name="sourceAddress">CIDR list the certificate is good from (critical option source-address); null: anywhere.</param>
    SshCertificate SignUserCertificate(Guid organizationId, Guid userId, string email, SshPublicKey key, TimeSpan lifetime, string? sourceAddress = null);

    /// <summary>A fresh key with a certificate for the target: principal relay_ssh_signed, key id the e-mail address.</summary>
    UpstreamCredential IssueUpstreamCredential(Guid organizationId, string email, Guid sessionId, TimeSpan lifetime);

    /// <summary>OpenSSH line of the CA that signs users' certificates.</summary>
    string UserCaPublic(Guid organizationId);

    /// <summary>OpenSSH line of the CA that targets trust.</summary>
    string SshCaPublic(Guid organizationId);
}

/// <summary>What a session proves itself with to its target. Caller disposes.</summary>
internal sealed record UpstreamCredential(SshPrivateKey Key, SshCertificate Certificate) : IDisposable
{
    public void Dispose() => Key.Dispose();
}

/// <summary>A token whose signature, use and dates hold.</summary>
/// <param name="Id">Row of the token: connector_token, gateway_token or login_session.</param>
/// <param name="OrganizationId">Empty for a gateway's: gateways serve the whole grid.</param>
/// <param name="SubjectId">The connector or the user; empty for a gateway's.</param>
internal sealed record VerifiedToken(Guid Id, Guid OrganizationId, Guid SubjectId);

/// <summary>What a token's signature, use and dates say. The zero value admits nobody.</summary>
internal enum TokenVerdict
{
    /// <summary>Malformed, for another use, or not signed by this grid.</summary>
    Unknown = 0,

    Valid,

    Expired,
}

/// <summary>Claim <c>type</c>.</summary>
internal static class TokenTypes
{
    public const string Connector = "connector";
    public const string Gateway = "gateway";
    public const string User = "user";
}

/// <summary>How long what is signed lasts.</summary>
internal static class AuthorityLimits
{
    /// <summary>10 years: replacing the CA means enrolling everybody anew.</summary>
    public static readonly TimeSpan GridCaLifetime = TimeSpan.FromDays(3650);

    /// <summary>Peers renew at two thirds.</summary>
    public static readonly TimeSpan GridCertificateLifetime = TimeSpan.FromDays(7);

    /// <summary>Certificates start this much in the past, for clocks that lag.</summary>
    public static readonly TimeSpan ClockSkew = TimeSpan.FromMinutes(2);

    /// <summary>The longest user certificate.</summary>
    public static readonly TimeSpan MaxUserCertificateLifetime = TimeSpan.FromDays(1);

    /// <summary>The longest certificate of a session: a login on the target must happen within it, the session may last longer.</summary>
    public static readonly TimeSpan MaxUpstreamLifetime = TimeSpan.FromMinutes(10);

    /// <summary>Principal that targets list in AuthorizedPrincipalsFile.</summary>
    public const string UpstreamPrincipal = "relay_ssh_signed";
}
