using Relay.Policy;

namespace Relay.Tests.Policy;

public sealed class PermissionTests
{
    [Theory]
    // {} is without limits, a missing key is denied.
    [InlineData("""{"ssh":{}}""", "shell", "allow")]
    [InlineData("""{"ssh":{}}""", "exec rm -rf /; true", "allow")]
    [InlineData("""{"ssh":{}}""", "forward 10.0.0.1 5432", "allow")]
    [InlineData("""{"ssh":{}}""", "agent", "allow")]
    [InlineData("""{"ssh":{}}""", "connect", "allow")]
    [InlineData("""{}""", "connect", "deny permission_missing permissions.ssh")]
    [InlineData("""{"http":{}}""", "shell", "deny permission_missing permissions.ssh.shell")]
    [InlineData("""{"ssh":{"shell":{}}}""", "shell", "allow")]
    [InlineData("""{"ssh":{"shell":{}}}""", "connect", "allow")]
    [InlineData("""{"ssh":{"shell":{}}}""", "sftp", "deny permission_missing permissions.ssh.sftp")]
    [InlineData("""{"ssh":{"shell":{}}}""", "exec ls", "deny permission_missing permissions.ssh.exec")]
    [InlineData("""{"ssh":{"shell":{}}}""", "agent", "deny permission_missing permissions.ssh.agent_forwarding")]
    [InlineData("""{"ssh":{"shell":{}}}""", "forward db 1", "deny permission_missing permissions.ssh.tcp_forwarding")]
    [InlineData("""{"ssh":{"shell":{},"agent_forwarding":{}}}""", "agent", "allow")]
    [InlineData("""{"ssh":{"agent_forwarding":{}}}""", "connect", "deny permission_missing permissions.ssh")]
    // A limit alone is no permission.
    [InlineData("""{"ssh":{"max_session_duration_seconds":60}}""", "connect", "deny permission_missing permissions.ssh")]
    [InlineData("""{"ssh":{"recording":{"input":true}}}""", "shell", "deny permission_missing permissions.ssh.shell")]
    // No permission exists for other subsystems.
    [InlineData("""{"ssh":{}}""", "subsystem netconf", "deny permission_missing permissions.ssh")]
    // Absent list: any. Empty list: none.
    [InlineData("""{"ssh":{"exec":{}}}""", "exec anything; at all", "allow")]
    [InlineData("""{"ssh":{"exec":{"commands":[]}}}""", "exec ls", "deny command_not_allowed permissions.ssh.exec.commands")]
    [InlineData("""{"ssh":{"exec":{"commands":[]}}}""", "connect", "deny permission_missing permissions.ssh")]
    [InlineData("""{"ssh":{"exec":{"commands":["ls *","id"]}}}""", "exec id", "allow")]
    [InlineData("""{"ssh":{"exec":{"commands":["ls *","id"]}}}""", "exec ls -l /tmp", "allow")]
    [InlineData("""{"ssh":{"exec":{"commands":["ls *","id"]}}}""", "exec ls /;id", "deny command_not_allowed permissions.ssh.exec.commands")]
    [InlineData("""{"ssh":{"tcp_forwarding":{"allowed_connections":[]}}}""", "forward db 1", "deny destination_not_allowed permissions.ssh.tcp_forwarding.allowed_connections")]
    [InlineData("""{"ssh":{"tcp_forwarding":{"allowed_connections":[{}]}}}""", "forward db 1", "allow")]
    [InlineData("""{"ssh":{"tcp_forwarding":{"allowed_connections":[{"destination_address":"db","destination_port":5432}]}}}""", "forward db 5432", "allow")]
    [InlineData("""{"ssh":{"tcp_forwarding":{"allowed_connections":[{"destination_address":"db","destination_port":"5432"}]}}}""", "forward db 5433", "deny destination_not_allowed permissions.ssh.tcp_forwarding.allowed_connections")]
    [InlineData("""{"ssh":{"tcp_forwarding":{"allowed_connections":[{"destination_address":"db"},{"destination_port":22}]}}}""", "forward other 22", "allow")]
    // User names: exact, and needed when a list is there.
    [InlineData("""{"ssh":{"shell":{},"allowed_usernames":["root","app"]}}""", "shell-as app", "allow")]
    [InlineData("""{"ssh":{"shell":{},"allowed_usernames":["root","app"]}}""", "connect-as App", "deny username_not_allowed permissions.ssh.allowed_usernames")]
    [InlineData("""{"ssh":{"shell":{},"allowed_usernames":["root"]}}""", "shell", "deny username_not_allowed permissions.ssh.allowed_usernames")]
    [InlineData("""{"ssh":{"shell":{},"allowed_usernames":[]}}""", "shell-as root", "deny username_not_allowed permissions.ssh.allowed_usernames")]
    // Every failed clause is named.
    [InlineData("""{"ssh":{"sftp":{},"allowed_usernames":["root"]}}""", "shell-as app", "deny permission_missing permissions.ssh.shell + username_not_allowed permissions.ssh.allowed_usernames")]
    public void Ssh_action_under_permissions_has_this_outcome(string permissions, string action, string outcome)
    {
        var policies = Given.Policies(Given.Policy(Given.Permitting(permissions)));
        Assert.Equal(outcome, Given.Outcome(policies.Evaluate(Given.Request(Given.Action(action)))));
    }

    [Theory]
    [InlineData("database", """{"database":{}}""", "allow")]
    [InlineData("database", """{"database":{"allowed_databases":[{"database":"books"}]}}""", "allow")]
    [InlineData("database", """{"database":{"allowed_databases":[]}}""", "deny permission_missing permissions.database.allowed_databases")]
    [InlineData("database", """{"ssh":{}}""", "deny permission_missing permissions.database")]
    [InlineData("http", """{"http":{}}""", "allow")]
    [InlineData("tls", """{"tls":{}}""", "allow")]
    [InlineData("tcp", """{"tls":{}}""", "allow")]
    [InlineData("udp", """{"tls":{"max_session_duration_seconds":60}}""", "allow")]
    [InlineData("udp", """{"ssh":{}}""", "deny permission_missing permissions.tls")]
    [InlineData("tls", """{"http":{}}""", "deny permission_missing permissions.tls")]
    [InlineData("vnc", """{"vnc":{}}""", "allow")]
    [InlineData("rdp", """{"rdp":{}}""", "allow")]
    [InlineData("rdp", """{"vnc":{}}""", "deny permission_missing permissions.rdp")]
    [InlineData("vpn", """{"vpn":{}}""", "allow")]
    [InlineData("subnet_router", """{"network":{}}""", "allow")]
    [InlineData("exit_node", """{"network":{}}""", "allow")]
    [InlineData("exit_node", """{"vpn":{}}""", "deny permission_missing permissions.network")]
    [InlineData("kubernetes", """{"kubernetes":{}}""", "allow")]
    [InlineData("kubernetes", """{"kubernetes":{"rules":[]}}""", "deny permission_missing permissions.kubernetes.rules")]
    [InlineData("aws_s3", """{"aws_s3":{"rules":[{"buckets":["b"],"actions":["read"]}]}}""", "allow")]
    [InlineData("aws_s3", """{"aws_s3":{"rules":[]}}""", "deny permission_missing permissions.aws_s3.rules")]
    [InlineData("aws_access", """{"aws_access":{"aws_iam_role_arns":{"arn:aws:iam::123456789012:role/reader":{}}}}""", "allow")]
    [InlineData("aws_access", """{"aws_access":{"aws_iam_role_arns":{}}}""", "deny permission_missing permissions.aws_access.aws_iam_role_arns")]
    [InlineData("telnet", """{"ssh":{}}""", "deny unknown_socket_type")]
    [InlineData("SSH", """{"ssh":{}}""", "deny unknown_socket_type")]
    [InlineData("", """{"ssh":{}}""", "deny unknown_socket_type")]
    public void Connecting_to_a_socket_of_this_type_has_this_outcome(string socketType, string permissions, string outcome)
    {
        var policies = Given.Policies(Given.Policy(Given.Permitting(permissions)));
        Assert.Equal(outcome, Given.Outcome(policies.Evaluate(Given.Request(new AccessAction.Connect(null), socket: Given.Socket(socketType)))));
    }

    [Theory]
    [InlineData("shell")]
    [InlineData("exec ls")]
    [InlineData("sftp")]
    [InlineData("agent")]
    [InlineData("forward db 1")]
    [InlineData("subsystem x")]
    public void Ssh_action_on_another_type_of_socket_is_denied(string action)
    {
        var policies = Given.Policies(Given.Policy(Given.Permitting("""{"ssh":{},"database":{}}""")));
        Assert.Equal("deny action_not_applicable", Given.Outcome(policies.Evaluate(Given.Request(Given.Action(action), socket: Given.Socket("database")))));
    }

    [Theory]
    [InlineData("postgres", "allow")]
    [InlineData("", "allow")]
    [InlineData(null, "deny username_not_allowed permissions.ssh.allowed_usernames")]
    public void Allowed_usernames_counts_only_where_the_socket_defines_none(string? definedUsername, string outcome)
    {
        var policies = Given.Policies(Given.Policy(Given.Permitting("""{"ssh":{"shell":{},"allowed_usernames":[]}}""")));
        Assert.Equal(outcome, Given.Outcome(policies.Evaluate(Given.Request(new AccessAction.SshShell("root"), socket: Given.Socket("ssh", definedUsername)))));
    }

    public static TheoryData<AccessAction> Nonsense =>
    [
        new AccessAction.SshExec("", null),
        new AccessAction.SshExec("ls\0;rm", null),
        new AccessAction.SshExec(new string('x', 256 * 1024 + 1), null),
        new AccessAction.SshTcpForwarding("", 22, null),
        new AccessAction.SshTcpForwarding("db host", 22, null),
        new AccessAction.SshTcpForwarding("db\n", 22, null),
        new AccessAction.SshTcpForwarding(new string('a', 256), 22, null),
        new AccessAction.SshTcpForwarding("db", 0, null),
        new AccessAction.SshTcpForwarding("db", -1, null),
        new AccessAction.SshTcpForwarding("db", 65536, null),
        new AccessAction.SshShell(""),
        new AccessAction.SshShell("ro\not"),
        new AccessAction.SshShell(new string('a', 257)),
    ];

    [Theory]
    [MemberData(nameof(Nonsense))]
    public void Request_that_makes_no_sense_is_denied_even_without_limits(AccessAction action)
    {
        var policies = Given.Policies(Given.Policy(Given.Permitting("""{"ssh":{}}""")));
        Assert.Equal("deny invalid_request", Given.Outcome(policies.Evaluate(Given.Request(action))));
    }

    [Theory]
    [InlineData("0001-01-01T00:00:00Z")]
    [InlineData("9999-12-31T23:59:59Z")]
    public void Far_ends_of_the_calendar_are_denied_and_do_not_throw(string now)
    {
        var policies = Given.Policies(Given.Policy("""{"permissions":{"ssh":{"shell":{},"max_session_duration_seconds":60}},"condition":{"who":{"email":["alice@example.com"]},"when":{"time_of_day_after":"10:00 Asia/Tokyo"}}}"""));
        Assert.Equal("deny invalid_request", Given.Outcome(policies.Evaluate(Given.Request(new AccessAction.SshShell(null), now: Given.At(now)))));
        Assert.Equal("deny invalid_request", Given.Outcome(policies.Evaluate(Given.Request(new AccessAction.SshShell(null)) with { SessionStartedAt = Given.At(now) })));
    }
}
