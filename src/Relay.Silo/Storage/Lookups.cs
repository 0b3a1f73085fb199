using Dapper;
using Npgsql;

namespace Relay.Silo.Storage;

/// <summary>Finds a row by what people write: its id or its name.</summary>
internal static class Lookups
{
    /// <summary>Null: none of the organization has that id or name.</summary>
    /// <param name="what">The kind of thing; decides table and columns.</param>
    public static async Task<Guid?> FindAsync(NpgsqlConnection connection, NpgsqlTransaction? transaction, Named what, Guid organizationId, string idOrName, CancellationToken cancellationToken)
    {
        var byId = Guid.TryParse(idOrName, out var id);
        var sql = $"SELECT {what.IdColumn} FROM {what.Table} WHERE organization_id = @organizationId AND "
            + (byId ? $"{what.IdColumn} = @id" : $"lower({what.NameColumn}) = lower(@idOrName)");
        return await connection.QuerySingleOrDefaultAsync<Guid?>(new CommandDefinition(sql, new { organizationId, id, idOrName }, transaction, cancellationToken: cancellationToken));
    }
}

/// <summary>A kind of thing with an id and a unique name in its organization. The names are ours, never a caller's.</summary>
internal sealed record Named(string What, string Table, string IdColumn, string NameColumn)
{
    public static readonly Named User = new("user", "app_user", "user_id", "email");
    public static readonly Named Group = new("group", "user_group", "group_id", "display_name");
    public static readonly Named Connector = new("connector", "connector", "connector_id", "name");
    public static readonly Named Socket = new("socket", "socket", "socket_id", "name");
    public static readonly Named Policy = new("policy", "policy", "policy_id", "name");
}
