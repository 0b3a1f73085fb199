namespace Relay.Policy;

/// <summary>v1 <c>action</c>: a list of "family", "family:*" or "family:detail".</summary>
internal static class ActionsParser
{
    private static readonly string[] SshDetails = ["shell", "exec", "sftp", "tcp_forwarding", "kubectl_exec", "docker_exec"];

    private static readonly string[] Known =
    [
        "ssh", "database", "http", "tls", "ssh:*", "database:*", "http:*", "tls:*",
        .. SshDetails.Select(detail => "ssh:" + detail),
        .. PermissionsParser.QueryTypes.Select(type => "database:" + type),
    ];

    public static Permissions? Parse(PolicyNode node) =>
        node.List(PolicyLimits.MaxListEntries, static action => action.Word(Known)) is { } actions ? Build(actions) : null;

    private static Permissions Build(IReadOnlyList<string> list)
    {
        var actions = list.ToHashSet(StringComparer.Ordinal);
        bool Whole(string family) => actions.Contains(family) || actions.Contains(family + ":*");
        bool Ssh(string detail) => actions.Contains("ssh:" + detail);

        var ssh = Whole("ssh") ? SshPermission.Everything : null;
        if (ssh is null && Array.Exists(SshDetails, Ssh))
        {
            ssh = new SshPermission
            {
                Shell = Ssh("shell"),
                Exec = Ssh("exec") ? new ExecPermission(null) : null,
                Sftp = Ssh("sftp"),
                TcpForwarding = Ssh("tcp_forwarding") ? new TcpForwardingPermission(null) : null,
                KubectlExec = Ssh("kubectl_exec") ? new KubectlExecPermission(null) : null,
                DockerExec = Ssh("docker_exec") ? new DockerExecPermission(null) : null,
            };
        }

        string[] queryTypes = [.. PermissionsParser.QueryTypes.Where(type => actions.Contains("database:" + type))];
        return new Permissions
        {
            Ssh = ssh,
            Database = Whole("database") ? new DatabasePermission(null, null)
                : queryTypes.Length > 0 ? new DatabasePermission([new AllowedDatabase("*", queryTypes)], null)
                : null,
            Http = Whole("http"),
            Tls = Whole("tls") ? new TlsPermission(null) : null,
        };
    }
}
