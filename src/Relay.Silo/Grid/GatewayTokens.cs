using Dapper;
using Npgsql;

namespace Relay.Silo.Grid;

/// <summary>The rows of gateway tokens. Safe for concurrent use.</summary>
internal sealed class GatewayTokens(NpgsqlDataSource database)
{
    /// <summary>True when the token may enrol now: known, not revoked, not past its end.</summary>
    public async Task<bool> IsValidAsync(Guid tokenId, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        return await connection.QuerySingleAsync<bool>(new CommandDefinition(
            "SELECT EXISTS (SELECT 1 FROM gateway_token WHERE token_id = @tokenId AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()))",
            new { tokenId },
            cancellationToken: cancellationToken));
    }
}
