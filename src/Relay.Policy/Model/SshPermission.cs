namespace Relay.Policy;

/// <summary><c>permissions.ssh</c>. Immutable.</summary>
internal sealed class SshPermission
{
    /// <summary><c>"ssh": {}</c>: every action, without limits.</summary>
    public static SshPermission Everything { get; } = new()
    {
        Shell = true,
        Exec = new ExecPermission(null),
        Sftp = true,
        TcpForwarding = new TcpForwardingPermission(null),
        KubectlExec = new KubectlExecPermission(null),
        DockerExec = new DockerExecPermission(null),
        AgentForwarding = true,
    };

    public bool Shell { get; init; }

    public ExecPermission? Exec { get; init; }

    public bool Sftp { get; init; }

    public TcpForwardingPermission? TcpForwarding { get; init; }

    public KubectlExecPermission? KubectlExec { get; init; }

    public DockerExecPermission? DockerExec { get; init; }

    public bool AgentForwarding { get; init; }

    /// <summary>Null: any. Empty: none. Compared exactly.</summary>
    public IReadOnlyList<string>? AllowedUsernames { get; init; }

    /// <summary>Null: no limit.</summary>
    public TimeSpan? MaxSessionDuration { get; init; }

    public bool RecordInput { get; init; }

    /// <summary>At least one kind of channel could be allowed. Agent forwarding is none: it only accompanies one.</summary>
    public bool AnyChannel =>
        Shell || Sftp || Exec is { Commands: not { Count: 0 } } || TcpForwarding is { AllowedConnections: not { Count: 0 } }
        || KubectlExec is { AllowedNamespaces: not { Count: 0 } } || DockerExec is { AllowedContainers: not { Count: 0 } };
}

/// <summary><c>ssh.exec</c>.</summary>
/// <param name="Commands">Null: any. Empty: none.</param>
internal sealed record ExecPermission(IReadOnlyList<CommandPattern>? Commands);

/// <summary><c>ssh.tcp_forwarding</c>.</summary>
/// <param name="AllowedConnections">Null: any. Empty: none.</param>
internal sealed record TcpForwardingPermission(IReadOnlyList<DestinationRule>? AllowedConnections);

/// <summary><c>ssh.kubectl_exec</c>.</summary>
/// <param name="AllowedNamespaces">Null: any. Empty: none.</param>
internal sealed record KubectlExecPermission(IReadOnlyList<AllowedNamespace>? AllowedNamespaces);

/// <summary>One entry of <c>kubectl_exec.allowed_namespaces</c>.</summary>
/// <param name="Namespace">Null: any.</param>
/// <param name="PodSelector">Labels a pod must have. Null or empty: any pod.</param>
internal sealed record AllowedNamespace(string? Namespace, IReadOnlyDictionary<string, string>? PodSelector);

/// <summary><c>ssh.docker_exec</c>.</summary>
/// <param name="AllowedContainers">Null: any. Empty: none.</param>
internal sealed record DockerExecPermission(IReadOnlyList<string>? AllowedContainers);
