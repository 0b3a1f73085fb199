using Dapper;
using Npgsql;
using Relay.Silo.Authorities;

namespace Relay.Silo.Storage;

/// <summary>Rows of connector and gateway tokens; the tokens themselves are never stored. Safe for concurrent use.</summary>
internal sealed class TokenStore(NpgsqlDataSource database, IAuthorities authorities) : IConnectorTokens
{
    public async Task<ConnectorTokenCheck> CheckAsync(string token, CancellationToken cancellationToken)
    {
        var verdict = authorities.Verify(token, TokenTypes.Connector, out var verified);
        if (verified is null)
            return ConnectorTokenCheck.Refused(ConnectorTokenState.Unknown);
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        var row = await connection.QuerySingleOrDefaultAsync<ConnectorTokenRow>(new CommandDefinition("""
            SELECT t.token_id, c.organization_id, c.connector_id, c.name AS connector_name, o.name AS organization_name, o.version,
                   t.revoked_at IS NOT NULL AS revoked, coalesce(t.expires_at <= now(), false) AS expired
            FROM connector_token t JOIN connector c USING (connector_id) JOIN organization o USING (organization_id)
            WHERE t.token_id = @Id AND c.connector_id = @SubjectId AND c.organization_id = @OrganizationId
            """, new { verified.Id, verified.SubjectId, verified.OrganizationId }, cancellationToken: cancellationToken));
        // We signed it, so there was a row: it went with its connector.
        var state = row is null ? ConnectorTokenState.ConnectorDeleted
            : row.Revoked ? ConnectorTokenState.Revoked
            : row.Expired || verdict == TokenVerdict.Expired ? ConnectorTokenState.Expired
            : ConnectorTokenState.Valid;
        if (row is null || state != ConnectorTokenState.Valid)
            return ConnectorTokenCheck.Refused(state);
        await connection.ExecuteAsync(new CommandDefinition("UPDATE connector_token SET last_used_at = now() WHERE token_id = @TokenId", new { row.TokenId }, cancellationToken: cancellationToken));
        return new ConnectorTokenCheck(state, row.TokenId, row.OrganizationId, row.ConnectorId, row.ConnectorName, row.OrganizationName, row.Version);
    }

    /// <summary>Checks a gateway's token at its enrolment. False: not ours, expired, or revoked.</summary>
    public async Task<bool> IsGatewayTokenValidAsync(string token, CancellationToken cancellationToken)
    {
        if (!authorities.TryVerifyToken(token, TokenTypes.Gateway, out var verified))
            return false;
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        return await connection.ExecuteScalarAsync<bool>(new CommandDefinition(
            "SELECT EXISTS (SELECT 1 FROM gateway_token WHERE token_id = @Id AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()))",
            new { verified.Id }, cancellationToken: cancellationToken));
    }

    /// <summary>
    /// Takes a gateway's name for a valid token. False: the name belongs to tokens of another name, one of which lives. Of two that
    /// come at once for a new name, one gets it.
    /// </summary>
    /// <returns>When a certificate for it may begin; null: at any time.</returns>
    public async Task<(bool Claimed, DateTimeOffset? NotBefore)> ClaimGatewayNameAsync(string token, string gateway, CancellationToken cancellationToken)
    {
        if (!authorities.TryVerifyToken(token, TokenTypes.Gateway, out var verified))
            return default;
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        return await connection.QuerySingleOrDefaultAsync<(bool, DateTimeOffset?)>(new CommandDefinition(
            """
            INSERT INTO gateway_name (name, token_name) SELECT @gateway, t.name FROM gateway_token t WHERE t.token_id = @Id
            ON CONFLICT (name) DO UPDATE SET token_name = excluded.token_name, enrolled_at = now()
              WHERE gateway_name.token_name = excluded.token_name OR NOT EXISTS (
                SELECT 1 FROM gateway_token o WHERE o.name = gateway_name.token_name AND o.revoked_at IS NULL AND (o.expires_at IS NULL OR o.expires_at > now()))
            RETURNING true, date_trunc('second', certificates_after)
            """,
            new { gateway, verified.Id }, cancellationToken: cancellationToken));
    }

    /// <summary>Makes a token for a gateway outside of any request: the embedded one.</summary>
    public async Task<string> CreateGatewayTokenAsync(string name, IReadOnlyList<string> silos, CancellationToken cancellationToken)
    {
        var id = Guid.NewGuid();
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await connection.ExecuteAsync(new CommandDefinition("INSERT INTO gateway_token (token_id, name) VALUES (@id, @name)", new { id, name }, cancellationToken: cancellationToken));
        return authorities.MintGatewayToken(id, silos, expires: null);
    }

    private sealed class ConnectorTokenRow
    {
        public bool Revoked { get; init; }

        public bool Expired { get; init; }

        public long Version { get; init; }

        public Guid TokenId { get; init; }

        public Guid OrganizationId { get; init; }

        public Guid ConnectorId { get; init; }

        public string ConnectorName { get; init; } = "";

        public string OrganizationName { get; init; } = "";
    }
}
