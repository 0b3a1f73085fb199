using System.Net;

namespace Relay.Policy;

/// <summary>What-if questions of administrators: every clause of every policy, met or not. Makes no grants. The answers name other users.</summary>
public static class PolicyTester
{
    /// <summary>Judges one policy's condition for a person at a place and time, whatever the socket: <c>relay policy test</c>.</summary>
    public static PolicyTestReport Test(PolicyEntry policy, Subject subject, IPAddress clientIp, string? country, DateTimeOffset now)
    {
        var compiled = new CompiledPolicy(policy);
        var socket = new SocketFacts(Guid.Empty, "", "ssh", new Dictionary<string, string>(), "");
        var query = Query.From(new AccessRequest(subject, socket, clientIp, country, now, new AccessAction.Connect(null), Guid.Empty));
        var actions = ActionsOf(compiled.Model.Permissions);
        var clauses = Describe(compiled, query, static clause => clause > Clause.Duration);
        return new PolicyTestReport(query.Refusal == ReasonCode.Allowed && actions.Count > 0 && clauses.All(reason => reason.Code == ReasonCode.Allowed), actions, clauses);
    }

    /// <summary>Judges one policy for a whole request, whether or not the policy applies to the socket.</summary>
    public static PolicyTestReport Test(PolicyEntry policy, AccessRequest request)
    {
        var compiled = new CompiledPolicy(policy);
        var query = Query.From(request);
        var clauses = Describe(compiled, query, static _ => true);
        return new PolicyTestReport(query.Refusal == ReasonCode.Allowed && clauses.All(reason => reason.Code == ReasonCode.Allowed), ActionsOf(compiled.Model.Permissions), clauses);
    }

    /// <summary>Every policy that applies to the request's socket, by name, each judged as by <see cref="Test(PolicyEntry, AccessRequest)"/>.</summary>
    public static IReadOnlyList<(PolicyEntry Policy, PolicyTestReport Report)> TestAll(CompiledPolicies policies, AccessRequest request) =>
        [.. policies.ApplyingTo(request.Socket).Select(policy => (policy.Entry, Test(policy.Entry, request)))];

    private static List<PolicyReason> Describe(CompiledPolicy policy, in Query query, Func<Clause, bool> wanted)
    {
        var reasons = new List<PolicyReason>();
        foreach (var clause in CompiledPolicy.Clauses)
        {
            if (wanted(clause))
                reasons.Add(ClauseText.Describe(policy, clause, policy.Judge(clause, query), query));
        }

        return reasons;
    }

    private static List<string> ActionsOf(Permissions permissions)
    {
        var actions = new List<string>();
        void Add(string name, bool given)
        {
            if (given)
                actions.Add(name);
        }

        Add("ssh.shell", permissions.Ssh is { Shell: true });
        Add("ssh.exec", permissions.Ssh is { Exec.Commands: not { Count: 0 } });
        Add("ssh.sftp", permissions.Ssh is { Sftp: true });
        Add("ssh.tcp_forwarding", permissions.Ssh is { TcpForwarding.AllowedConnections: not { Count: 0 } });
        Add("ssh.kubectl_exec", permissions.Ssh is { KubectlExec.AllowedNamespaces: not { Count: 0 } });
        Add("ssh.docker_exec", permissions.Ssh is { DockerExec.AllowedContainers: not { Count: 0 } });
        Add("ssh.agent_forwarding", permissions.Ssh is { AgentForwarding: true });
        Add("database", permissions.Database is { AllowedDatabases: not { Count: 0 } });
        Add("http", permissions.Http);
        Add("tls", permissions.Tls is not null);
        Add("vnc", permissions.Vnc);
        Add("rdp", permissions.Rdp);
        Add("vpn", permissions.Vpn);
        Add("network", permissions.Network);
        Add("kubernetes", permissions.Kubernetes is { Rules: not { Count: 0 } });
        Add("aws_s3", permissions.AwsS3 is { Rules: not { Count: 0 } });
        Add("aws_access", permissions.AwsAccess is { Roles: not { Count: 0 } });
        return actions;
    }
}
