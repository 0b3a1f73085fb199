using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json.Nodes;
using Dapper;
using Npgsql;
using Relay.Protocol.Crypto;
using Relay.Protocol.Grid;
using Relay.Protocol.Ssh;
using Relay.Silo.Identity;
using Relay.Silo.Secrets;
using Relay.Silo.Storage;

namespace Relay.Silo.Authorities;

/// <summary>
/// Sets up a new grid: its keys, the organization "default" and its first administrator. Once per database, whichever silo
/// comes first; a second one finds it done (L33).
/// </summary>
internal static class GridBootstrap
{
    public const string AdministratorEmail = "admin@relay.local";

    public const string OrganizationName = "default";

    // Any constant will do; it must never change. ASCII "RELAYBOO".
    private const long LockKey = 0x52454C4159424F4F;

    /// <summary>True when a silo has set up this database.</summary>
    public static async Task<bool> IsDoneAsync(NpgsqlDataSource database, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        return await connection.ExecuteScalarAsync<bool>(new CommandDefinition("SELECT EXISTS (SELECT 1 FROM grid)", cancellationToken: cancellationToken));
    }

    /// <exception cref="StorageException">It is not the database of that grid.</exception>
    public static async Task RequireAsync(NpgsqlDataSource database, Guid gridId, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        try
        {
            var found = await connection.QuerySingleOrDefaultAsync<Guid?>(new CommandDefinition("SELECT grid_id FROM grid", cancellationToken: cancellationToken));
            if (found != gridId)
                throw new StorageException(found is null ? "the database that is back has no grid" : $"the database that is back is of another grid ({found}, not {gridId})");
        }
        catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.UndefinedTable)
        {
            throw new StorageException("the database that is back is empty", e);
        }
    }

    /// <summary>Sets the grid up unless that was done before.</summary>
    /// <param name="passwordFile">Where the password is also written (0600), before anything is committed; null: nowhere.</param>
    /// <returns>The first administrator's password, which exists nowhere else from now on; null: it was done before.</returns>
    public static async Task<string?> RunAsync(NpgsqlDataSource database, SecretVault vault, Passwords passwords, string? passwordFile, TimeProvider time, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginBoundedAsync(BoundedTransaction.LongPatience, cancellationToken);
        await ExecuteAsync("SELECT pg_advisory_xact_lock(@LockKey)", new { LockKey });
        if (await connection.ExecuteScalarAsync<bool>(new CommandDefinition("SELECT EXISTS (SELECT 1 FROM grid)", transaction: transaction, cancellationToken: cancellationToken)))
            return null;

        await ExecuteAsync("""
            INSERT INTO grid (grid_id, name, ca_certificate, ca_key, signing_key, gateway_host_key)
            VALUES (@GridId, @Name, @CaCertificate, @CaKey, @SigningKey, @GatewayHostKey)
            """, NewGrid(vault, time.GetUtcNow()));

        var organizationId = Guid.NewGuid();
        await ExecuteAsync("""
            INSERT INTO organization (organization_id, name, user_ca, ssh_ca, user_ca_public, ssh_ca_public)
            VALUES (@OrganizationId, @Name, @UserCa, @SshCa, @UserCaPublic, @SshCaPublic)
            """, NewOrganization(vault, organizationId));

        var password = Passwords.Generate();
        var userId = Guid.NewGuid();
        var hash = await passwords.HashAsync(password, cancellationToken);
        await ExecuteAsync("""
            INSERT INTO app_user (user_id, organization_id, email, display_name, role, password_hash)
            VALUES (@userId, @organizationId, @AdministratorEmail, 'Administrator', 'admin', @hash)
            """, new { userId, organizationId, AdministratorEmail, hash });
        await ExecuteAsync("""
            INSERT INTO policy (policy_id, organization_id, name, description, org_wide, policy_data)
            VALUES (@id, @organizationId, 'default-org-policy', 'Admits only the creator of the organization.', true, @data::jsonb)
            """, new { id = Guid.NewGuid(), organizationId, data = CreatorOnly().ToJsonString() });
        await AuditTrail.AppendAsync(connection, transaction, Actor.System(organizationId), "organization.create", "organization", organizationId.ToString("D"), "success", null, cancellationToken);

        // Before the commit: a grid whose only password nobody has seen would be locked for ever.
        if (passwordFile is not null)
            await PrivateFiles.WriteAsync(passwordFile, Encoding.ASCII.GetBytes(password + "\n"), cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return password;

        Task ExecuteAsync(string sql, object parameters) => connection.ExecuteAsync(new CommandDefinition(sql, parameters, transaction, cancellationToken: cancellationToken));
    }

    /// <summary>The policy a new organization starts with: everything SSH offers, for one person.</summary>
    private static JsonObject CreatorOnly() => new()
    {
        ["permissions"] = new JsonObject
        {
            ["ssh"] = new JsonObject
            {
                ["shell"] = new JsonObject(),
                ["exec"] = new JsonObject(),
                ["sftp"] = new JsonObject(),
                ["tcp_forwarding"] = new JsonObject(),
                ["agent_forwarding"] = new JsonObject(),
            },
        },
        ["condition"] = new JsonObject { ["who"] = new JsonObject { ["email"] = new JsonArray(AdministratorEmail) } },
    };

    private static object NewGrid(SecretVault vault, DateTimeOffset now)
    {
        var gridId = Guid.NewGuid();
        var name = gridId.ToString("N")[..8];
        using var ca = GridCertificates.CreateAuthority(name, now, AuthorityLimits.GridCaLifetime);
        using var caKey = ca.GetECDsaPrivateKey()!;
        var pkcs8 = caKey.ExportPkcs8PrivateKey();
        var seed = new byte[Ed25519.SeedLength];
        using (var signing = Ed25519PrivateKey.Generate())
            signing.ExportSeed(seed);
        try
        {
            return new
            {
                GridId = gridId,
                Name = name,
                CaCertificate = ca.RawData,
                CaKey = vault.Seal(SecretPlace.Grid("ca_key", gridId), pkcs8),
                SigningKey = vault.Seal(SecretPlace.Grid("signing_key", gridId), seed),
                GatewayHostKey = NewSshKey(vault, SecretPlace.Grid("gateway_host_key", gridId), SshKeyKind.Ed25519, "relay gateway").Sealed,
            };
        }
        finally
        {
            CryptographicOperations.ZeroMemory(pkcs8);
            CryptographicOperations.ZeroMemory(seed);
        }
    }

    private static object NewOrganization(SecretVault vault, Guid organizationId)
    {
        var user = NewSshKey(vault, SecretPlace.Organization("user_ca", organizationId), SshKeyKind.Ed25519, $"Relay user CA for {OrganizationName}");
        var ssh = NewSshKey(vault, SecretPlace.Organization("ssh_ca", organizationId), SshKeyKind.EcdsaP256, $"Relay ssh CA for {OrganizationName}");
        return new { OrganizationId = organizationId, Name = OrganizationName, UserCa = user.Sealed, SshCa = ssh.Sealed, UserCaPublic = user.Line, SshCaPublic = ssh.Line };
    }

    private static (byte[] Sealed, string Line) NewSshKey(SecretVault vault, SecretPlace place, SshKeyKind kind, string comment)
    {
        using var key = SshPrivateKey.Generate(kind);
        var pem = Encoding.ASCII.GetBytes(key.ExportOpenSsh(comment));
        var value = vault.Seal(place, pem);
        CryptographicOperations.ZeroMemory(pem);
        return (value, key.PublicKey.ToLine(comment));
    }
}
