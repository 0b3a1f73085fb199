using System.Text.Json.Nodes;
using Dapper;
using Npgsql;

namespace Relay.Silo.Storage;

/// <summary>Appends to the audit trail, in the transaction of what it reports.</summary>
internal static class AuditTrail
{
    /// <summary>Appends one event.</summary>
    /// <param name="transaction">Null: the event stands alone (a denial, a failed login).</param>
    /// <param name="actionType">"policy.create", "login.failure", "session.denied", …</param>
    /// <param name="outcome">"success", "denied" or "failure".</param>
    /// <param name="detail">SECURITY: never a secret; names and what changed.</param>
    public static Task AppendAsync(
        NpgsqlConnection connection,
        NpgsqlTransaction? transaction,
        Actor actor,
        string actionType,
        string resourceType,
        string resourceId,
        string outcome,
        JsonObject? detail,
        CancellationToken cancellationToken) =>
        connection.ExecuteAsync(new CommandDefinition("""
            INSERT INTO audit_event (organization_id, action_type, actor_id, actor_email, requestor_ip, resource_type, resource_id, outcome, request_id, detail)
            VALUES (@OrganizationId, @actionType, @actorId, @Email, @Ip, @resourceType, @resourceId, @outcome, @RequestId, @detail::jsonb)
            """,
            new
            {
                actor.OrganizationId,
                actionType,
                actorId = actor.UserId?.ToString("D") ?? "",
                actor.Email,
                actor.Ip,
                resourceType,
                resourceId,
                outcome,
                actor.RequestId,
                detail = detail?.ToJsonString() ?? "{}",
            },
            transaction,
            cancellationToken: cancellationToken));
}
