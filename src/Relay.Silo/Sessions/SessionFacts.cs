using System.Net;
using System.Text.Json.Serialization;
using Relay.Silo.Snapshots;

namespace Relay.Silo.Sessions;

/// <summary>Which credential proved the user when the session began.</summary>
/// <param name="Kind">"certificate", "key" or "device".</param>
/// <param name="Id">Certificate: key id and serial, for people; key: its fingerprint; device: its id, "D" form, by which the history is asked.</param>
/// <param name="Fingerprint">What must still hold while the session lives: the user CA's key for a certificate, the registered key itself for a key, a device's public key in base64.</param>
internal sealed record SessionCredential(string Kind, string Id, string Fingerprint)
{
    public const string CertificateKind = "certificate";
    public const string KeyKind = "key";
    public const string DeviceKind = "device";

    /// <summary>A device's name at that time, for people; null for the others.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Name { get; init; }

    /// <summary>The user's WireGuard device: whoever sends through its tunnel is its user.</summary>
    public static SessionCredential Of(OrgDevice device) => new(DeviceKind, device.Id.ToString("D"), device.PublicKey) { Name = device.Name };
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
