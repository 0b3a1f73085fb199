namespace Relay.Policy;

/// <summary>Whether a policy's permissions hold for a request, conditions aside.</summary>
internal static class PermissionJudge
{
    public static ReasonCode Judge(Permissions permissions, in Query query)
    {
        switch (query.Key)
        {
            case PermissionKey.Ssh:
                return permissions.Ssh is null ? ReasonCode.PermissionMissing : JudgeSsh(permissions.Ssh, query);
            case PermissionKey.Database:
                return Given(permissions.Database is { AllowedDatabases: not { Count: 0 } });
            case PermissionKey.Http:
                return Given(permissions.Http);
            case PermissionKey.Tls:
                return Given(permissions.Tls is not null);
            case PermissionKey.Vnc:
                return Given(permissions.Vnc);
            case PermissionKey.Rdp:
                return Given(permissions.Rdp);
            case PermissionKey.Vpn:
                return Given(permissions.Vpn);
            case PermissionKey.Network:
                return Given(permissions.Network);
            case PermissionKey.Kubernetes:
                return Given(permissions.Kubernetes is { Rules: not { Count: 0 } });
            case PermissionKey.AwsS3:
                return Given(permissions.AwsS3 is { Rules: not { Count: 0 } });
            case PermissionKey.AwsAccess:
                return Given(permissions.AwsAccess is { Roles: not { Count: 0 } });
            default:
                return ReasonCode.PermissionMissing;
        }
    }

    /// <summary><c>allowed_usernames</c>: only where the client chooses the user name.</summary>
    public static ReasonCode JudgeUsername(Permissions permissions, in Query query)
    {
        if (query.Key != PermissionKey.Ssh || permissions.Ssh?.AllowedUsernames is not { } allowed || query.Request.Socket.DefinedUsername is not null)
            return ReasonCode.Allowed;
        return Query.UsernameOf(query.Request.Action) is { } username && Contains(allowed, username) ? ReasonCode.Allowed : ReasonCode.UsernameNotAllowed;
    }

    private static ReasonCode JudgeSsh(SshPermission ssh, in Query query)
    {
        switch (query.Request.Action)
        {
            case AccessAction.Connect:
                return Given(ssh.AnyChannel);
            case AccessAction.SshShell:
                return Given(ssh.Shell);
            case AccessAction.SshSftp:
                return Given(ssh.Sftp);
            case AccessAction.SshAgentForwarding:
                return Given(ssh.AgentForwarding);
            case AccessAction.SshExec exec:
                return ssh.Exec is null ? ReasonCode.PermissionMissing
                    : ssh.Exec.Commands is not { } patterns || AnyMatches(patterns, exec.Command) ? ReasonCode.Allowed : ReasonCode.CommandNotAllowed;
            case AccessAction.SshTcpForwarding:
                return ssh.TcpForwarding is null ? ReasonCode.PermissionMissing
                    : ssh.TcpForwarding.AllowedConnections is not { } rules || AnyMatches(rules, query.Destination) ? ReasonCode.Allowed : ReasonCode.DestinationNotAllowed;
            default:
                return ReasonCode.PermissionMissing;
        }
    }

    private static ReasonCode Given(bool given) => given ? ReasonCode.Allowed : ReasonCode.PermissionMissing;

    private static bool Contains(IReadOnlyList<string> names, string name)
    {
        for (var i = 0; i < names.Count; i++)
        {
            if (string.Equals(names[i], name, StringComparison.Ordinal))
                return true;
        }

        return false;
    }

    private static bool AnyMatches(IReadOnlyList<CommandPattern> patterns, string command)
    {
        for (var i = 0; i < patterns.Count; i++)
        {
            if (patterns[i].Matches(command))
                return true;
        }

        return false;
    }

    private static bool AnyMatches(IReadOnlyList<DestinationRule> rules, in Destination destination)
    {
        for (var i = 0; i < rules.Count; i++)
        {
            if (rules[i].Matches(destination))
                return true;
        }

        return false;
    }
}
