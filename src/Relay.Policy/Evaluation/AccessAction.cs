namespace Relay.Policy;

/// <summary>What is asked for. The hierarchy is closed: an action the evaluator does not know cannot be made.</summary>
public abstract record AccessAction
{
    private AccessAction(string name) => Name = name;

    /// <summary>Stable name for records and texts: "connect", "ssh.shell", "ssh.exec", "ssh.sftp", "ssh.tcp_forwarding", "ssh.agent_forwarding", "ssh.subsystem".</summary>
    public string Name { get; }

    /// <summary>
    /// Opening a session, before it is known what it will be used for. On an SSH socket it is allowed when at least one kind of
    /// channel could be; each channel then asks again with its own action. On other sockets it asks for the permission of the socket's type.
    /// </summary>
    /// <param name="Username">Upstream user name the client asked for; null when it named none.</param>
    public sealed record Connect(string? Username) : AccessAction("connect");

    /// <summary>An interactive shell.</summary>
    /// <param name="Username">As in <see cref="Connect"/>.</param>
    public sealed record SshShell(string? Username) : AccessAction("ssh.shell");

    /// <summary>One command, RFC 4254 §6.5.</summary>
    /// <param name="Command">The whole command line, exactly as it will be sent to the target.</param>
    /// <param name="Username">As in <see cref="Connect"/>.</param>
    public sealed record SshExec(string Command, string? Username) : AccessAction("ssh.exec");

    /// <summary>The sftp subsystem.</summary>
    /// <param name="Username">As in <see cref="Connect"/>.</param>
    public sealed record SshSftp(string? Username) : AccessAction("ssh.sftp");

    /// <summary>A direct-tcpip channel, RFC 4254 §7.2.</summary>
    /// <param name="Address">Host name or address literal as the user wrote it; a name is compared as a name, it is not resolved.</param>
    /// <param name="Port">1 to 65535.</param>
    /// <param name="Username">As in <see cref="Connect"/>.</param>
    public sealed record SshTcpForwarding(string Address, int Port, string? Username) : AccessAction("ssh.tcp_forwarding");

    /// <summary>Forwarding of the user's SSH agent (a Relay extension of the schema).</summary>
    /// <param name="Username">As in <see cref="Connect"/>.</param>
    public sealed record SshAgentForwarding(string? Username) : AccessAction("ssh.agent_forwarding");

    /// <summary>Any subsystem but sftp. The schema has no permission for it: always denied, with a reason.</summary>
    /// <param name="Subsystem">Name of the subsystem.</param>
    /// <param name="Username">As in <see cref="Connect"/>.</param>
    public sealed record SshSubsystem(string Subsystem, string? Username) : AccessAction("ssh.subsystem");
}
