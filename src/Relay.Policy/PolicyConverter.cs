using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Relay.Policy;

/// <summary>Rewrites v1 documents as v2.</summary>
public static class PolicyConverter
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>
    /// The v2 text that allows exactly what the v1 text allows. False: the text is not a valid v1 document, or says what v2 cannot
    /// (<c>who.domain</c>, <c>integrations</c>); <paramref name="errors"/> has every reason, and nothing was converted.
    /// </summary>
    public static bool TryConvert(ReadOnlyMemory<byte> v1Json, [NotNullWhen(true)] out string? v2Json, out IReadOnlyList<PolicyError> errors)
    {
        v2Json = null;
        if (!PolicyDocument.TryParse(v1Json, out var document, out errors))
            return false;
        errors = Obstacles(document.Model);
        if (errors.Count > 0)
            return false;

        // The condition is copied as written, so that nothing but the schema changes.
        var condition = JsonNode.Parse(DocumentParser.WithoutBom(v1Json).Span)!["condition"]!.DeepClone();
        (condition["who"] as JsonObject)?.Remove("domain");
        v2Json = new JsonObject { ["permissions"] = PermissionsOf(document.Model.Permissions), ["condition"] = condition }.ToJsonString(Indented);
        return true;
    }

    private static List<PolicyError> Obstacles(PolicyModel model)
    {
        var obstacles = new List<PolicyError>();
        if (model.Version != PolicySchemaVersion.V1)
            obstacles.Add(new PolicyError("$.version", "The document is v2 already."));
        if (model.Condition.Who.Domains.Count > 0)
            obstacles.Add(new PolicyError("$.condition.who.domain", "v2 has no mail domains: name the people by e-mail address or group."));
        if (model.Integrations.Count > 0)
            obstacles.Add(new PolicyError("$.integrations", "v2 has no integrations: without them the policy would allow more than it does now."));
        return obstacles;
    }

    private static JsonObject PermissionsOf(Permissions permissions)
    {
        var keys = new JsonObject();
        if (permissions.Ssh is { } ssh)
            keys["ssh"] = SshOf(ssh);
        if (permissions.Database is { } database)
            keys["database"] = database.AllowedDatabases is null ? new JsonObject() : new JsonObject { ["allowed_databases"] = new JsonArray([.. database.AllowedDatabases.Select(DatabaseOf)]) };
        if (permissions.Http)
            keys["http"] = new JsonObject();
        if (permissions.Tls is not null)
            keys["tls"] = new JsonObject();
        return keys;
    }

    private static JsonObject SshOf(SshPermission ssh)
    {
        var keys = new JsonObject();
        if (ReferenceEquals(ssh, SshPermission.Everything))
            return keys;
        void Add(string name, bool given)
        {
            if (given)
                keys[name] = new JsonObject();
        }

        Add("shell", ssh.Shell);
        Add("exec", ssh.Exec is not null);
        Add("sftp", ssh.Sftp);
        Add("tcp_forwarding", ssh.TcpForwarding is not null);
        Add("kubectl_exec", ssh.KubectlExec is not null);
        Add("docker_exec", ssh.DockerExec is not null);
        return keys;
    }

    private static JsonObject DatabaseOf(AllowedDatabase database) => new()
    {
        ["database"] = database.Database,
        ["allowed_query_types"] = new JsonArray([.. database.AllowedQueryTypes!.Select(type => JsonValue.Create(type))]),
    };
}
