using System.Text;
using System.Text.Json;
using Dapper;
using Npgsql;
using Relay.Api;
using Relay.Policy;

namespace Relay.Silo.Api.Resources;

/// <summary>Reads policies as the API shows them, and as the evaluator takes them.</summary>
internal static class PolicyRows
{
    /// <summary>Columns of a <see cref="PolicyRow"/>, FROM included.</summary>
    public const string Select = """
        SELECT p.policy_id, p.name, p.description, p.schema_version, p.org_wide, p.policy_data, p.tag_rules, p.version, p.expires_at, p.created_at, p.updated_at FROM policy p
        """;

    public static async Task<PolicyResource> ReadAsync(NpgsqlConnection connection, NpgsqlTransaction? transaction, Guid id, CancellationToken cancellationToken)
    {
        var row = await connection.QuerySingleAsync<PolicyRow>(new CommandDefinition(Select + " WHERE p.policy_id = @id", new { id }, transaction, cancellationToken: cancellationToken));
        return (await DescribeAsync(connection, transaction, [row], cancellationToken))[0];
    }

    public static async Task<IReadOnlyList<PolicyResource>> DescribeAsync(NpgsqlConnection connection, NpgsqlTransaction? transaction, IReadOnlyList<PolicyRow> rows, CancellationToken cancellationToken)
    {
        var sockets = (await connection.QueryAsync<(Guid PolicyId, Guid SocketId, string Name)>(new CommandDefinition(
            "SELECT x.policy_id, s.socket_id, s.name FROM policy_socket x JOIN socket s USING (socket_id) WHERE x.policy_id = ANY(@ids) ORDER BY lower(s.name)",
            new { ids = rows.Select(r => r.PolicyId).ToArray() }, transaction, cancellationToken: cancellationToken))).ToLookup(s => s.PolicyId, s => new NamedRef(s.SocketId, s.Name));
        return [.. rows.Select(r => new PolicyResource
        {
            Id = r.PolicyId,
            Name = r.Name,
            Description = r.Description,
            Version = r.SchemaVersion,
            OrgWide = r.OrgWide,
            PolicyData = Element(r.PolicyData),
            TagRules = TagRules(r.TagRules),
            Sockets = [.. sockets[r.PolicyId]],
            Expires = r.ExpiresAt,
            Revision = r.Version,
            CreatedAt = r.CreatedAt,
            UpdatedAt = r.UpdatedAt,
        })];
    }

    /// <summary>The policy for the evaluator; null when its document cannot be read, and then it grants nothing.</summary>
    public static PolicyEntry? ToEntry(PolicyRow row, IReadOnlySet<Guid> sockets) =>
        PolicyDocument.TryParse(Encoding.UTF8.GetBytes(row.PolicyData), out var document, out _)
            ? new PolicyEntry(row.PolicyId, row.Name, document, row.OrgWide, sockets, TagRules(row.TagRules)) { Expires = row.ExpiresAt }
            : null;

    public static JsonElement Element(string json)
    {
        using var document = JsonDocument.Parse(json);
        return document.RootElement.Clone();
    }

    /// <summary>Every policy of an organization, for the evaluator; one whose document cannot be read is left out.</summary>
    public static async Task<IReadOnlyList<PolicyEntry>> EntriesAsync(NpgsqlConnection connection, Guid organizationId, CancellationToken cancellationToken)
    {
        var rows = await connection.QueryAsync<PolicyRow>(new CommandDefinition(Select + " WHERE p.organization_id = @organizationId", new { organizationId }, cancellationToken: cancellationToken));
        var attached = (await connection.QueryAsync<(Guid Policy, Guid Socket)>(new CommandDefinition(
            "SELECT x.policy_id, x.socket_id FROM policy_socket x JOIN policy USING (policy_id) WHERE organization_id = @organizationId", new { organizationId }, cancellationToken: cancellationToken)))
            .ToLookup(x => x.Policy, x => x.Socket);
        return [.. rows.Select(row => ToEntry(row, attached[row.PolicyId].ToHashSet())).OfType<PolicyEntry>()];
    }

    private static IReadOnlyList<IReadOnlyDictionary<string, string>> TagRules(string json) =>
        [.. Element(json).EnumerateArray().Select(r => r.EnumerateObject().ToDictionary(t => t.Name, t => t.Value.GetString()!))];
}

/// <summary>A row of the table.</summary>
internal sealed class PolicyRow
{
    public Guid PolicyId { get; init; }

    public string Name { get; init; } = "";

    public string Description { get; init; } = "";

    public string SchemaVersion { get; init; } = "";

    public bool OrgWide { get; init; }

    public string PolicyData { get; init; } = "{}";

    public string TagRules { get; init; } = "[]";

    public long Version { get; init; }

    public DateTimeOffset? ExpiresAt { get; init; }

    public DateTimeOffset CreatedAt { get; init; }

    public DateTimeOffset UpdatedAt { get; init; }
}
