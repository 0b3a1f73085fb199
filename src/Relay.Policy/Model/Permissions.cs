namespace Relay.Policy;

/// <summary>What a policy permits. Null or false: the key is missing, so it is denied. Immutable.</summary>
internal sealed class Permissions
{
    public SshPermission? Ssh { get; init; }

    public DatabasePermission? Database { get; init; }

    public bool Http { get; init; }

    public TlsPermission? Tls { get; init; }

    public bool Vnc { get; init; }

    public bool Rdp { get; init; }

    public bool Vpn { get; init; }

    public bool Network { get; init; }

    public KubernetesPermission? Kubernetes { get; init; }

    public AwsS3Permission? AwsS3 { get; init; }

    public AwsAccessPermission? AwsAccess { get; init; }
}

/// <summary><c>permissions.tls</c>: raw TCP and UDP.</summary>
/// <param name="MaxSessionDuration">Null: no limit.</param>
internal sealed record TlsPermission(TimeSpan? MaxSessionDuration);

/// <summary><c>permissions.database</c>.</summary>
/// <param name="AllowedDatabases">Null: any. Empty: none.</param>
/// <param name="MaxSessionDuration">Null: no limit.</param>
internal sealed record DatabasePermission(IReadOnlyList<AllowedDatabase>? AllowedDatabases, TimeSpan? MaxSessionDuration);

/// <summary>One entry of <c>database.allowed_databases</c>.</summary>
/// <param name="Database">Name; null or "*": any.</param>
/// <param name="AllowedQueryTypes">Null: any. Empty: none.</param>
internal sealed record AllowedDatabase(string? Database, IReadOnlyList<string>? AllowedQueryTypes);

/// <summary><c>permissions.kubernetes</c>.</summary>
/// <param name="Rules">Null: any. Empty: none.</param>
internal sealed record KubernetesPermission(IReadOnlyList<KubernetesRule>? Rules);

/// <summary>One entry of <c>kubernetes.rules</c>. A null list: any. An empty one: none.</summary>
internal sealed record KubernetesRule(
    IReadOnlyList<string>? ApiGroups, IReadOnlyList<string>? Namespaces, IReadOnlyList<string>? Verbs, IReadOnlyList<string>? Resources, IReadOnlyList<string>? ResourceNames);

/// <summary><c>permissions.aws_s3</c>.</summary>
/// <param name="Rules">Null: any. Empty: none.</param>
internal sealed record AwsS3Permission(IReadOnlyList<AwsS3Rule>? Rules);

/// <summary>One entry of <c>aws_s3.rules</c>. A null list: any. An empty one: none.</summary>
internal sealed record AwsS3Rule(IReadOnlyList<string>? Buckets, IReadOnlyList<string>? Paths, IReadOnlyList<string>? Actions);

/// <summary><c>permissions.aws_access</c>.</summary>
/// <param name="Roles">Role ARN to longest duration (null: no limit). Null map: any role. Empty: none.</param>
internal sealed record AwsAccessPermission(IReadOnlyDictionary<string, TimeSpan?>? Roles);
