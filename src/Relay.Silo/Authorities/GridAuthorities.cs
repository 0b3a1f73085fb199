using System.Buffers.Binary;
using System.Collections.Frozen;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json.Nodes;
using Dapper;
using Npgsql;
using Relay.Protocol.Crypto;
using Relay.Protocol.Grid;
using Relay.Protocol.Ssh;
using Relay.Protocol.Tokens;
using Relay.Protocol.WireGuard;
using Relay.Silo.Secrets;
using Relay.Silo.Storage;

namespace Relay.Silo.Authorities;

/// <inheritdoc cref="IAuthorities"/>
internal sealed class GridAuthorities : IAuthorities, IDisposable
{
    private readonly X509Certificate2 _ca;
    private readonly Ed25519PrivateKey _signingKey;
    private readonly string _caPin;
    private readonly byte[] _wireGuardKey;
    private readonly FrozenDictionary<Guid, OrganizationKeys> _organizations;
    private readonly TimeProvider _time;

    private GridAuthorities(Guid gridId, X509Certificate2 ca, Ed25519PrivateKey signingKey, SshPrivateKey gatewayHostKey, byte[] wireGuardKey, FrozenDictionary<Guid, OrganizationKeys> organizations, TimeProvider time)
    {
        GridId = gridId;
        _ca = ca;
        GridCa = X509CertificateLoader.LoadCertificate(ca.RawData);
        _caPin = GridCertificates.AuthorityPin(ca);
        _signingKey = signingKey;
        GatewayHostKey = gatewayHostKey;
        _wireGuardKey = wireGuardKey;
        WireGuardPublicKey = wireGuardKey.Length == 0 ? null : WireGuardPrivateKey.PublicKey(wireGuardKey);
        _organizations = organizations;
        _time = time;
    }

    public Guid GridId { get; }

    public X509Certificate2 GridCa { get; }

    public SshPrivateKey GatewayHostKey { get; }

    public ReadOnlyMemory<byte> WireGuardKey => _wireGuardKey;

    public WireGuardPublicKey? WireGuardPublicKey { get; }

    /// <summary>Reads the keys of a grid that was set up before.</summary>
    public static async Task<AuthorityRows> ReadAsync(NpgsqlDataSource database, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        var grid = await connection.QuerySingleAsync<AuthorityRows.GridRow>(new CommandDefinition("SELECT grid_id, ca_certificate, ca_key, signing_key, gateway_host_key, wireguard_key FROM grid", cancellationToken: cancellationToken));
        var organizations = await connection.QueryAsync<AuthorityRows.OrganizationRow>(new CommandDefinition("SELECT organization_id, user_ca, ssh_ca, user_ca_public, ssh_ca_public FROM organization", cancellationToken: cancellationToken));
        return new AuthorityRows { Grid = grid, Organizations = organizations.AsList() };
    }

    /// <summary><see cref="ReadAsync"/> and <see cref="Open"/>.</summary>
    /// <exception cref="StorageException">They do not open with this master key.</exception>
    public static async Task<GridAuthorities> LoadAsync(NpgsqlDataSource database, SecretVault vault, TimeProvider time, CancellationToken cancellationToken) =>
        Open(await ReadAsync(database, cancellationToken), vault, time);

    /// <summary>Opens the keys.</summary>
    /// <exception cref="StorageException">They do not open with this master key.</exception>
    public static GridAuthorities Open(AuthorityRows rows, SecretVault vault, TimeProvider time)
    {
        var grid = rows.Grid;
        try
        {
            return new GridAuthorities(
                grid.GridId,
                OpenCa(grid, vault),
                OpenSigningKey(grid, vault),
                OpenSshKey(vault, SecretPlace.Grid("gateway_host_key", grid.GridId), grid.GatewayHostKey),
                grid.WireGuardKey is { } wireGuard ? vault.Open(GridWireGuardKey.Place(grid.GridId), wireGuard) : [],
                rows.Organizations.ToFrozenDictionary(o => o.OrganizationId, o => new OrganizationKeys(
                    OpenSshKey(vault, SecretPlace.Organization("user_ca", o.OrganizationId), o.UserCa),
                    OpenSshKey(vault, SecretPlace.Organization("ssh_ca", o.OrganizationId), o.SshCa),
                    o.UserCaPublic,
                    o.SshCaPublic)),
                time);
        }
        catch (SecretException exception)
        {
            throw new StorageException($"{exception.Message}; the master key file is not the one this database was set up with (RELAY_MASTER_KEY_FILE)", exception);
        }
    }

    public X509Certificate2 IssueGridCertificate(GridPeer peer, PublicKey key, DateTimeOffset? notBefore = null)
    {
        var now = _time.GetUtcNow();
        return GridCertificates.Issue(_ca, peer, key, notBefore + GridCertificates.ClockSkew is { } least && least > now ? least : now, AuthorityLimits.GridCertificateLifetime);
    }

    public string MintConnectorToken(Guid organizationId, Guid connectorId, Guid tokenId, IReadOnlyList<string> silos, DateTimeOffset? expires) =>
        Mint(TokenTypes.Connector, tokenId, expires, new JsonObject
        {
            ["org_id"] = organizationId.ToString("D"),
            ["connector_id"] = connectorId.ToString("D"),
            ["ca"] = _caPin,
            ["silos"] = Addresses(silos),
        });

    public string MintGatewayToken(Guid tokenId, IReadOnlyList<string> silos, DateTimeOffset? expires) =>
        Mint(TokenTypes.Gateway, tokenId, expires, new JsonObject { ["ca"] = _caPin, ["silos"] = Addresses(silos) });

    public string MintUserToken(Guid organizationId, Guid userId, Guid loginSessionId, DateTimeOffset expires) =>
        Mint(TokenTypes.User, loginSessionId, expires, new JsonObject { ["org_id"] = organizationId.ToString("D"), ["sub"] = userId.ToString("D") });

    public bool TryVerifyToken(string token, string type, [NotNullWhen(true)] out VerifiedToken? verified) =>
        Verify(token, type, out verified) == TokenVerdict.Valid;

    public TokenVerdict Verify(string token, string type, out VerifiedToken? verified)
    {
        verified = null;
        if (!JsonWebToken.TryParse(token, out var parsed)
            || parsed.Issuer != GridId.ToString("D")
            || parsed.Type != type
            || parsed.TokenId is not { } id
            || !parsed.VerifySignature(_signingKey.PublicKey.Span))
            return TokenVerdict.Unknown;
        // A token without its subject would be everybody's.
        if (type != TokenTypes.Gateway && parsed.OrganizationId is null
            || type == TokenTypes.Connector && parsed.ConnectorId is null
            || type == TokenTypes.User && !Guid.TryParse(parsed.Subject, out _))
            return TokenVerdict.Unknown;
        var subject = type switch
        {
            TokenTypes.Connector => parsed.ConnectorId!.Value,
            TokenTypes.User => Guid.Parse(parsed.Subject!),
            _ => Guid.Empty,
        };
        verified = new VerifiedToken(id, parsed.OrganizationId ?? Guid.Empty, subject);
        return parsed.IsExpired(_time.GetUtcNow()) ? TokenVerdict.Expired : TokenVerdict.Valid;
    }

    public SshCertificate SignUserCertificate(Guid organizationId, Guid userId, string email, SshPublicKey key, TimeSpan lifetime, string? sourceAddress = null)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(lifetime, AuthorityLimits.MaxUserCertificateLifetime);
        var builder = Builder(key, email, userId.ToString("D"), lifetime);
        builder.AddExtension("permit-pty").AddExtension("permit-port-forwarding").AddExtension("permit-agent-forwarding");
        if (sourceAddress is not null)
            builder.SetCriticalOption("source-address", sourceAddress);
        return builder.Sign(Keys(organizationId).UserCa);
    }

    public UpstreamCredential IssueUpstreamCredential(Guid organizationId, string email, Guid sessionId, TimeSpan lifetime)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(lifetime, AuthorityLimits.MaxUpstreamLifetime);
        var key = SshPrivateKey.Generate(SshKeyKind.EcdsaP256);
        try
        {
            var builder = Builder(key.PublicKey, email, AuthorityLimits.UpstreamPrincipal, lifetime);
            builder.AddExtension("permit-pty").AddExtension("permit-port-forwarding").AddExtension("permit-agent-forwarding");
            // The target logs the serial: it leads from its log to ours.
            builder.Serial = BinaryPrimitives.ReadUInt64BigEndian(sessionId.ToByteArray(bigEndian: true));
            return new UpstreamCredential(key, builder.Sign(Keys(organizationId).SshCa));
        }
        catch
        {
            key.Dispose();
            throw;
        }
    }

    public string UserCaPublic(Guid organizationId) => Keys(organizationId).UserCaLine;

    public string SshCaPublic(Guid organizationId) => Keys(organizationId).SshCaLine;

    public void Dispose()
    {
        _ca.Dispose();
        GridCa.Dispose();
        _signingKey.Dispose();
        GatewayHostKey.Dispose();
        CryptographicOperations.ZeroMemory(_wireGuardKey);
        foreach (var keys in _organizations.Values)
        {
            keys.UserCa.Dispose();
            keys.SshCa.Dispose();
        }
    }

    private static JsonArray Addresses(IReadOnlyList<string> silos) => new([.. silos.Select(s => (JsonNode)s)]);

    private string Mint(string type, Guid id, DateTimeOffset? expires, JsonObject claims)
    {
        claims["iss"] = GridId.ToString("D");
        claims["type"] = type;
        claims["iat"] = _time.GetUtcNow().ToUnixTimeSeconds();
        claims["jti"] = id.ToString("D");
        if (expires is { } end)
            claims["exp"] = end.ToUnixTimeSeconds();
        return JsonWebToken.Create(_signingKey, claims);
    }

    private SshCertificateBuilder Builder(SshPublicKey key, string email, string principal, TimeSpan lifetime)
    {
        var now = _time.GetUtcNow();
        return new SshCertificateBuilder
        {
            Key = key,
            Kind = SshCertificateKind.User,
            KeyId = email,
            Principals = { principal },
            Serial = BinaryPrimitives.ReadUInt64BigEndian(RandomNumberGenerator.GetBytes(8)),
            ValidAfter = now - AuthorityLimits.ClockSkew,
            ValidBefore = now + lifetime,
        };
    }

    private OrganizationKeys Keys(Guid organizationId) =>
        _organizations.TryGetValue(organizationId, out var keys) ? keys : throw new InvalidOperationException($"there is no organization {organizationId}");

    private static X509Certificate2 OpenCa(AuthorityRows.GridRow grid, SecretVault vault)
    {
        using var certificate = X509CertificateLoader.LoadCertificate(grid.CaCertificate);
        var pkcs8 = vault.Open(SecretPlace.Grid("ca_key", grid.GridId), grid.CaKey);
        using var key = ECDsa.Create();
        key.ImportPkcs8PrivateKey(pkcs8, out _);
        CryptographicOperations.ZeroMemory(pkcs8);
        return certificate.CopyWithPrivateKey(key);
    }

    private static Ed25519PrivateKey OpenSigningKey(AuthorityRows.GridRow grid, SecretVault vault)
    {
        var seed = vault.Open(SecretPlace.Grid("signing_key", grid.GridId), grid.SigningKey);
        var key = Ed25519PrivateKey.FromSeed(seed);
        CryptographicOperations.ZeroMemory(seed);
        return key;
    }

    private static SshPrivateKey OpenSshKey(SecretVault vault, SecretPlace place, byte[] value)
    {
        var pem = vault.Open(place, value);
        var read = SshPrivateKey.TryImport(Encoding.ASCII.GetString(pem), out var key, out var error);
        CryptographicOperations.ZeroMemory(pem);
        return read ? key! : throw new StorageException($"the key {place} cannot be read: {error}");
    }

    private sealed record OrganizationKeys(SshPrivateKey UserCa, SshPrivateKey SshCa, string UserCaLine, string SshCaLine);
}
