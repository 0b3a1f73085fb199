using System.Globalization;
using System.Net;
using Relay.Policy;

namespace Relay.Tests.Policy;

/// <summary>The people, sockets and policies of the policy tests.</summary>
internal static class Given
{
    public static readonly Guid Organization = new("0b6f0000-0000-0000-0000-00000000000a");
    public static readonly Guid Alice = new("a11ce000-0000-0000-0000-000000000001");
    public static readonly Guid DbHost = new("50c4e700-0000-0000-0000-000000000001");
    public static readonly Guid DecisionId = new("dec15100-0000-0000-0000-000000000001");
    public static readonly DateTimeOffset Now = At("2026-03-11T10:30:00Z");

    public static DateTimeOffset At(string text) => DateTimeOffset.Parse(text, CultureInfo.InvariantCulture, DateTimeStyles.RoundtripKind);

    public static Subject User(string email, params string[] groups) => new(Alice, email, groups.ToHashSet(), null);

    public static Subject ServiceAccount(string name) => new(Alice, "", new HashSet<string>(), name);

    public static SocketFacts Socket(string type = "ssh", string? definedUsername = null, params (string Key, string Value)[] tags) =>
        new(DbHost, "db-host", type, tags.ToDictionary(tag => tag.Key, tag => tag.Value), definedUsername);

    public static AccessRequest Request(AccessAction action, Subject? subject = null, SocketFacts? socket = null, string ip = "198.51.100.7", string? country = "NL", DateTimeOffset? now = null) =>
        new(subject ?? User("alice@example.com"), socket ?? Socket(), IPAddress.Parse(ip), country, now ?? Now, action, DecisionId);

    public static PolicyDocument Document(string json)
    {
        Assert.True(PolicyDocument.TryParse(json, out var document, out var errors), string.Join('\n', errors));
        return document;
    }

    /// <summary>A policy attached to <see cref="DbHost"/>.</summary>
    public static PolicyEntry Policy(string json, string name = "p") =>
        new(Guid.NewGuid(), name, Document(json), false, new HashSet<Guid> { DbHost }, []);

    public static CompiledPolicies Policies(params PolicyEntry[] policies) => CompiledPolicies.Compile(Organization, 7, policies);

    /// <summary>v2 with these permissions for alice.</summary>
    public static string Permitting(string permissions) => """{"permissions":PERMISSIONS,"condition":{"who":{"email":["alice@example.com"]}}}""".Replace("PERMISSIONS", permissions, StringComparison.Ordinal);

    /// <summary>v2 that permits everything on SSH under this condition.</summary>
    public static string Under(string condition) => """{"permissions":{"ssh":{}},"condition":CONDITION}""".Replace("CONDITION", condition, StringComparison.Ordinal);

    public static AccessAction Action(string text)
    {
        var parts = text.Split(' ', 2);
        return parts[0] switch
        {
            "connect" => new AccessAction.Connect(null),
            "connect-as" => new AccessAction.Connect(parts[1]),
            "shell" => new AccessAction.SshShell(null),
            "shell-as" => new AccessAction.SshShell(parts[1]),
            "exec" => new AccessAction.SshExec(parts[1], null),
            "sftp" => new AccessAction.SshSftp(null),
            "agent" => new AccessAction.SshAgentForwarding(null),
            "subsystem" => new AccessAction.SshSubsystem(parts[1], null),
            "forward" => new AccessAction.SshTcpForwarding(parts[1].Split(' ')[0], int.Parse(parts[1].Split(' ')[1], CultureInfo.InvariantCulture), null),
            _ => throw new ArgumentException(text),
        };
    }

    /// <summary>"allow", or "deny reason_code clause" with the failed clauses of the nearest policy.</summary>
    public static string Outcome(Decision decision)
    {
        Assert.Equal(decision.Allowed, decision.Grant is not null);
        Assert.Equal(decision.Allowed, decision.Verdict == Verdict.Allow);
        if (decision.Allowed)
            return "allow";
        if (decision.Reasons.Count == 0)
            return "deny " + decision.ReasonCode.ToText();
        return "deny " + string.Join(" + ", decision.Reasons.Where(reason => reason.PolicyId == decision.Reasons[0].PolicyId).Select(reason => $"{reason.Code.ToText()} {reason.Clause[2..]}"));
    }
}
