using System.Net;

namespace Relay.Silo.Sessions;

/// <summary>Which credential proved the user when the session began.</summary>
/// <param name="Kind">"certificate" or "key".</param>
/// <param name="Id">For people: certificate's key id and serial, or the key's fingerprint.</param>
/// <param name="Fingerprint">What must still hold while the session lives: the user CA's key for a certificate, the registered key itself for a key.</param>
internal sealed record SessionCredential(string Kind, string Id, string Fingerprint)
{
    public const string CertificateKind = "certificate";
    public const string KeyKind = "key";
}

/// <summary>What never changes about a session, as its row has it.</summary>
/// <param name="Username">User on the target, as policies judge it; null: nobody names one.</param>
/// <param name="ClientIp">The user's address as the gateway's socket saw it.</param>
/// <param name="Gateway">The only gateway that may act for the session.</param>
internal sealed record SessionFacts(
    Guid Id,
    Guid OrganizationId,
    Guid UserId,
    string Email,
    Guid SocketId,
    string SocketName,
    string? Username,
    IPAddress ClientIp,
    string Gateway,
    SessionCredential Credential,
    DateTimeOffset StartedAt);
