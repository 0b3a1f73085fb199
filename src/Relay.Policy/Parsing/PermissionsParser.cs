using System.Text.RegularExpressions;

namespace Relay.Policy;

/// <summary>v2 <c>permissions</c>, all but ssh.</summary>
internal static partial class PermissionsParser
{
    /// <summary>Relay's list for <c>allowed_query_types</c>: two classes of statements, and statement kinds.</summary>
    public static readonly string[] QueryTypes =
    [
        "ReadOnly", "USE", "SELECT", "SHOW", "EXPLAIN", "INSERT", "UPDATE", "DELETE", "MERGE", "COPY", "CALL", "SET", "TRANSACTION",
        "CREATE", "ALTER", "DROP", "TRUNCATE", "GRANT", "REVOKE",
    ];

    public static Permissions? Parse(PolicyNode node)
    {
        if (node.Object("ssh", "database", "http", "tls", "vnc", "rdp", "vpn", "network", "kubernetes", "aws_s3", "aws_access") is not { } keys)
            return null;
        return new Permissions
        {
            Ssh = keys.Read("ssh", SshPermissionParser.Parse),
            Database = keys.Read("database", Database),
            Http = keys.Flag("http"),
            Tls = keys.Read("tls", Tls),
            Vnc = keys.Flag("vnc"),
            Rdp = keys.Flag("rdp"),
            Vpn = keys.Flag("vpn"),
            Network = keys.Flag("network"),
            Kubernetes = keys.Read("kubernetes", Kubernetes),
            AwsS3 = keys.Read("aws_s3", AwsS3),
            AwsAccess = keys.Read("aws_access", AwsAccess),
        };
    }

    private static TlsPermission? Tls(PolicyNode node) =>
        node.Object("max_session_duration_seconds") is { } keys
            ? new TlsPermission(keys.Value("max_session_duration_seconds", static value => value.DurationSeconds()))
            : null;

    private static DatabasePermission? Database(PolicyNode node) =>
        node.Object("allowed_databases", "max_session_duration_seconds") is { } keys
            ? new DatabasePermission(
                keys.Read("allowed_databases", static list => list.List(PolicyLimits.MaxListEntries, AllowedDatabase)),
                keys.Value("max_session_duration_seconds", static value => value.DurationSeconds()))
            : null;

    private static AllowedDatabase? AllowedDatabase(PolicyNode node) =>
        node.Object("database", "allowed_query_types") is { } keys
            ? new AllowedDatabase(
                keys.Read("database", static value => value.Text()),
                keys.Read("allowed_query_types", static list => list.List(PolicyLimits.MaxListEntries, static type => type.Word(QueryTypes))))
            : null;

    private static KubernetesPermission? Kubernetes(PolicyNode node) =>
        node.Object("rules") is { } keys
            ? new KubernetesPermission(keys.Read("rules", static list => list.List(PolicyLimits.MaxListEntries, KubernetesRule)))
            : null;

    private static KubernetesRule? KubernetesRule(PolicyNode node) =>
        node.Object("api_groups", "namespaces", "verbs", "resources", "resource_names") is { } keys
            ? new KubernetesRule(
                // The core API group is the empty string, so these alone may be empty.
                keys.Read("api_groups", static list => list.List(PolicyLimits.MaxListEntries, ApiGroup)),
                keys.Read("namespaces", Texts), keys.Read("verbs", Texts), keys.Read("resources", Texts), keys.Read("resource_names", Texts))
            : null;

    private static string? ApiGroup(PolicyNode node) =>
        node.Value is { ValueKind: System.Text.Json.JsonValueKind.String } value && value.ValueEquals(ReadOnlySpan<byte>.Empty) ? "" : node.Text();

    private static AwsS3Permission? AwsS3(PolicyNode node) =>
        node.Object("rules") is { } keys
            ? new AwsS3Permission(keys.Read("rules", static list => list.List(PolicyLimits.MaxListEntries, AwsS3Rule)))
            : null;

    private static AwsS3Rule? AwsS3Rule(PolicyNode node) =>
        node.Object("buckets", "paths", "actions") is { } keys
            ? new AwsS3Rule(
                keys.Read("buckets", Texts), keys.Read("paths", Texts),
                keys.Read("actions", static list => list.List(PolicyLimits.MaxListEntries, static action => action.Word("list", "read", "write", "delete"))))
            : null;

    private static AwsAccessPermission? AwsAccess(PolicyNode node) =>
        node.Object("aws_iam_role_arns") is { } keys
            ? new AwsAccessPermission(keys.Read("aws_iam_role_arns", Roles))
            : null;

    private static Dictionary<string, TimeSpan?>? Roles(PolicyNode node)
    {
        if (node.Members() is not { } members)
            return null;
        var roles = new Dictionary<string, TimeSpan?>(StringComparer.Ordinal);
        foreach (var (arn, value) in members)
        {
            if (!RoleArn().IsMatch(arn))
                value.Error("Not the ARN of an IAM role, such as arn:aws:iam::123456789012:role/reader.");
            if (value.Object("max_session_duration_seconds") is { } keys)
                roles[arn] = keys.Value("max_session_duration_seconds", static seconds => seconds.DurationSeconds());
        }

        return roles;
    }

    private static IReadOnlyList<string>? Texts(PolicyNode node) => node.Texts();

    [GeneratedRegex(@"\Aarn:aws[a-z-]{0,16}:iam::[0-9]{12}:role/[\x21-\x7e]{1,512}\z", RegexOptions.CultureInvariant)]
    private static partial Regex RoleArn();
}
