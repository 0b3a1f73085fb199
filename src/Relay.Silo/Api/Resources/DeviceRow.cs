using Relay.Api;
using Relay.Silo.Devices;
using Relay.Silo.Storage;

namespace Relay.Silo.Api.Resources;

/// <summary>A device as the API reads it, with its owner, its place and what gateways said of it.</summary>
internal sealed class DeviceRow
{
    public const string From =
        """
         FROM device d JOIN app_user u USING (user_id) JOIN device_address a USING (device_id) LEFT JOIN device_status s USING (device_id)
        WHERE d.organization_id = @OrganizationId AND d.revoked_at IS NULL
        """;

    public const string Select =
        """
        SELECT d.device_id, d.name, d.user_id, u.email, d.public_key, d.preshared_key IS NOT NULL AS has_preshared_key, d.created_at, d.renewed_at, d.login_valid_until,
               a.address_index, s.last_handshake_at, s.endpoint, s.gateway, s.bytes_up, s.bytes_down
        """ + From;

    // What fits into an Ethernet frame, also over IPv6: of a gateway that does not say.
    private const int UsualMtu = 1420;

    // What most routers remember a silent UDP flow for, and a little less.
    private const int KeepaliveSeconds = 25;

    public Guid DeviceId { get; init; }

    public string Name { get; init; } = "";

    public Guid UserId { get; init; }

    public string Email { get; init; } = "";

    public byte[] PublicKey { get; init; } = [];

    public bool HasPresharedKey { get; init; }

    public DateTimeOffset CreatedAt { get; init; }

    public DateTimeOffset RenewedAt { get; init; }

    public DateTimeOffset? LoginValidUntil { get; init; }

    public int AddressIndex { get; init; }

    public DateTimeOffset? LastHandshakeAt { get; init; }

    public string? Endpoint { get; init; }

    public string? Gateway { get; init; }

    public long? BytesUp { get; init; }

    public long? BytesDown { get; init; }

    /// <param name="gridKey">The gateways' public key, base64.</param>
    /// <param name="gateways">Those that are up.</param>
    public DeviceResource Describe(DeviceNetwork network, string gridKey, IReadOnlyList<GatewayRow> gateways) => new()
    {
        DeviceId = DeviceId,
        Name = Name,
        User = new NamedRef(UserId, Email),
        PublicKey = Convert.ToBase64String(PublicKey),
        PresharedKey = new SecretState(HasPresharedKey),
        CreatedAt = CreatedAt,
        RenewedAt = RenewedAt,
        LoginValidUntil = LoginValidUntil,
        Status = new DeviceStatus { LastHandshakeAt = LastHandshakeAt, Endpoint = Endpoint ?? "", Gateway = Gateway ?? "", BytesUp = BytesUp ?? 0, BytesDown = BytesDown ?? 0 },
        Configuration = new DeviceConfiguration
        {
            Addresses = [.. network.OfDevice(AddressIndex).Select(Whole)],
            PublicKey = gridKey,
            Gateways = [.. gateways.Where(g => g.WireguardAddress.Length > 0).Select(g => new DeviceGateway(g.Name, g.WireguardAddress))],
            AllowedIps = [.. network.Resources.Select(r => r.ToString()), .. network.Own.Select(Whole)],
            Dns = [.. network.Own.Select(a => a.ToString())],
            DnsSuffix = network.Suffix,
            // Its file is good at every gateway.
            Mtu = gateways.Where(g => g.WireguardMtu > 0).Select(g => g.WireguardMtu).DefaultIfEmpty(UsualMtu).Min(),
            PersistentKeepaliveSeconds = KeepaliveSeconds,
        },
    };

    private static string Whole(System.Net.IPAddress address) => $"{address}/{address.GetAddressBytes().Length * 8}";
}
