using System.Text.Json.Nodes;
using Dapper;
using Npgsql;
using Relay.Api;
using Relay.Silo.Api.Http;
using Relay.Silo.Storage;

namespace Relay.Silo.Api.Resources;

/// <summary>Which policies are attached to which sockets, seen and changed from either side.</summary>
internal sealed class AttachmentsApi(NpgsqlDataSource database)
{
    private const int MaxActions = 500;

    public static void Map(ApiRoutesBuilder routes)
    {
        routes.Map("GET", "/sockets/{socket}/policies", "list_policies_of_socket", "List the policies attached to a socket", (HttpContext http, string socket, AttachmentsApi api) => api.ListAsync(http, Named.Socket, socket)).WithPages().Produces<Page<NamedRef>>().Produces<ApiError>(404);
        routes.Map("PUT", "/sockets/{socket}/policies", "change_policies_of_socket", "Attach policies to a socket, or detach them", (HttpContext http, string socket, AttachmentsApi api) => api.ChangeAsync(http, Named.Socket, socket))
            .Accepts<AttachmentChanges>("application/json").WithPages().Produces<Page<NamedRef>>().Produces<ApiError>(404);
        routes.Map("GET", "/policies/{policy}/sockets", "list_sockets_of_policy", "List the sockets a policy is attached to", (HttpContext http, string policy, AttachmentsApi api) => api.ListAsync(http, Named.Policy, policy)).WithPages().Produces<Page<NamedRef>>().Produces<ApiError>(404);
        routes.Map("PUT", "/policies/{policy}/sockets", "change_sockets_of_policy", "Attach a policy to sockets, or detach it", (HttpContext http, string policy, AttachmentsApi api) => api.ChangeAsync(http, Named.Policy, policy))
            .Accepts<AttachmentChanges>("application/json").WithPages().Produces<Page<NamedRef>>().Produces<ApiError>(404);
    }

    private async Task<IResult> ListAsync(HttpContext http, Named owner, string name)
    {
        var query = new ListQuery(http);
        await using var connection = await database.OpenConnectionAsync(http.RequestAborted);
        var id = await connection.FindAsync(owner, http, name);
        return await PageAsync(connection, null, http, owner, id, query);
    }

    private async Task<IResult> ChangeAsync(HttpContext http, Named owner, string name)
    {
        var request = await RequestReader.ReadAsync(http, ApiJson.Default.AttachmentChanges);
        var query = new ListQuery(http);
        var other = Other(owner);
        var errors = new FieldErrors();
        if (request.Actions is not { Count: > 0 and <= MaxActions } actions)
        {
            errors.Add("actions", $"is required: 1 to {MaxActions} of {{\"action\":\"add|remove\",\"id\":…}}");
            actions = [];
        }
        await using var write = await http.BeginWriteAsync(database);
        var ownerId = await write.FindAsync(owner, name, http.RequestAborted);
        var changes = new List<(bool Add, Guid Id)>();
        for (var i = 0; i < actions.Count; i++)
        {
            var verb = errors.OneOf($"actions[{i}].action", actions[i].Action, null, "add", "remove");
            if (string.IsNullOrEmpty(actions[i].Id))
                errors.Add($"actions[{i}].id", "is required");
            else if (await Lookups.FindAsync(write.Connection, write.Transaction, other, write.OrganizationId, actions[i].Id!, http.RequestAborted) is { } id)
                changes.Add((verb == "add", id));
            else
                errors.Add($"actions[{i}].id", $"there is no {other.What} {ApiException.Printable(actions[i].Id!)}");
        }
        errors.ThrowIfAny();

        foreach (var (add, id) in changes)
        {
            var (policyId, socketId) = owner == Named.Policy ? (ownerId, id) : (id, ownerId);
            var done = await write.ExecuteAsync(
                add ? "INSERT INTO policy_socket (policy_id, socket_id) VALUES (@policyId, @socketId) ON CONFLICT DO NOTHING" : "DELETE FROM policy_socket WHERE policy_id = @policyId AND socket_id = @socketId",
                new { policyId, socketId });
            if (done == 0)
                continue;
            await write.ExecuteAsync("UPDATE policy SET version = version + 1, updated_at = now() WHERE policy_id = @policyId; UPDATE socket SET version = version + 1 WHERE socket_id = @socketId", new { policyId, socketId });
            await write.AuditAsync(add ? "policy.attach" : "policy.detach", "policy", policyId.ToString("D"), new JsonObject { ["socket_id"] = socketId.ToString("D") });
        }
        var answer = await PageAsync(write.Connection, write.Transaction, http, owner, ownerId, query);
        await write.CommitAsync();
        return answer;
    }

    private static Named Other(Named owner) => owner == Named.Policy ? Named.Socket : Named.Policy;

    private static async Task<IResult> PageAsync(NpgsqlConnection connection, NpgsqlTransaction? transaction, HttpContext http, Named owner, Guid id, ListQuery query)
    {
        var other = Other(owner);
        var from = $" FROM policy_socket x JOIN {other.Table} o USING ({other.IdColumn}) WHERE x.{owner.IdColumn} = @id";
        var parameters = new { id, query.Size, query.Offset };
        var total = await connection.ExecuteScalarAsync<long>(new CommandDefinition("SELECT count(*)" + from, parameters, transaction, cancellationToken: http.RequestAborted));
        var rows = await connection.QueryAsync<(Guid Id, string Name)>(new CommandDefinition($"SELECT o.{other.IdColumn}, o.name{from} ORDER BY lower(o.name) LIMIT @Size OFFSET @Offset", parameters, transaction, cancellationToken: http.RequestAborted));
        return Reply.Ok(query.ToPage<NamedRef>([.. rows.Select(r => new NamedRef(r.Id, r.Name))], total), ApiJson.Default.NamedRefPage);
    }
}
