using Relay.Policy;

namespace Relay.Tests.Policy;

public sealed class UnionTests
{
    private static readonly AccessAction Shell = new AccessAction.SshShell(null);

    [Fact]
    public void Without_policies_everything_is_denied() =>
        Assert.Equal("deny no_policy_for_socket", Given.Outcome(Given.Policies().Evaluate(Given.Request(Shell))));

    [Fact]
    public void Fields_of_two_policies_are_never_mixed()
    {
        // One has the permission, the other the person; one has the user name, the other the address.
        var policies = Given.Policies(
            Given.Policy("""{"permissions":{"ssh":{"shell":{}}},"condition":{"who":{"email":["bob@example.com"]}}}""", "a"),
            Given.Policy("""{"permissions":{"ssh":{"sftp":{}}},"condition":{"who":{"email":["alice@example.com"]}}}""", "b"),
            Given.Policy("""{"permissions":{"ssh":{"shell":{},"allowed_usernames":["root"]}},"condition":{"who":{"email":["alice@example.com"]}}}""", "c"),
            Given.Policy("""{"permissions":{"ssh":{"shell":{},"allowed_usernames":["app"]}},"condition":{"who":{"email":["alice@example.com"]},"where":{"allowed_ip":["10.0.0.0/8"]}}}""", "d"));
        Assert.False(policies.Evaluate(Given.Request(new AccessAction.SshShell("app"))).Allowed);
        Assert.True(policies.Evaluate(Given.Request(new AccessAction.SshShell("root"))).Allowed);
        Assert.True(policies.Evaluate(Given.Request(new AccessAction.SshShell("app"), ip: "10.1.1.1")).Allowed);
    }

    [Theory]
    [InlineData(true, false, "", "", true)]
    [InlineData(false, true, "", "", true)]
    [InlineData(false, false, "", "", false)]
    [InlineData(false, false, "env=prod", "env=prod team=db", true)]
    [InlineData(false, false, "env=prod team=web", "env=prod team=db", false)]
    [InlineData(false, false, "env=prod team=web|team=db", "env=prod team=db", true)]
    [InlineData(false, false, "env=Prod", "env=prod", false)]
    [InlineData(false, false, "env=prod", "", false)]
    [InlineData(false, false, "|", "env=prod", false)]
    public void Policy_applies_organization_wide_attached_or_by_tags(bool orgWide, bool attached, string rules, string tags, bool allowed)
    {
        var tagRules = rules.Length == 0 ? [] : rules.Split('|').Select(Tags).ToList();
        var entry = Given.Policy(Given.Permitting("""{"ssh":{}}""")) with
        {
            OrgWide = orgWide,
            SocketIds = attached ? new HashSet<Guid> { Given.DbHost } : new HashSet<Guid> { Guid.NewGuid() },
            TagRules = tagRules,
        };
        var socket = Given.Socket() with { Tags = Tags(tags) };
        var decision = Given.Policies(entry).Evaluate(Given.Request(Shell, socket: socket));
        Assert.Equal(allowed, decision.Allowed);
        if (!allowed)
            Assert.Equal(ReasonCode.NoPolicyForSocket, decision.ReasonCode);
    }

    [Theory]
    [InlineData(3600, 7200, 7200)]
    [InlineData(7200, 3600, 7200)]
    [InlineData(3600, null, null)]
    public void Longest_duration_of_the_policies_that_allow_counts(int first, int? second, int? expected)
    {
        static string Lasting(int? seconds) => Given.Permitting(seconds is null ? """{"ssh":{"shell":{}}}""" : $$$"""{"ssh":{"shell":{},"max_session_duration_seconds":{{{seconds}}}}}""");
        var decision = Given.Policies(
            Given.Policy(Lasting(first), "a"),
            Given.Policy(Lasting(second), "b"),
            Given.Policy("""{"permissions":{"ssh":{"shell":{},"max_session_duration_seconds":999999}},"condition":{"who":{"email":["bob@example.com"]}}}""", "c")).Evaluate(Given.Request(Shell));
        Assert.Equal(expected, (int?)decision.MaxSessionDuration?.TotalSeconds);
        Assert.Equal(expected is null ? null : Given.Now.AddSeconds(expected.Value), decision.Grant!.EndsAt);
    }

    [Fact]
    public void Session_older_than_the_duration_is_denied()
    {
        var policies = Given.Policies(Given.Policy(Given.Permitting("""{"ssh":{"shell":{},"max_session_duration_seconds":3600}}""")));
        var request = Given.Request(Shell);
        var running = policies.Evaluate(request with { SessionStartedAt = Given.Now.AddSeconds(-3599) });
        Assert.True(running.Allowed);
        Assert.Equal(Given.Now.AddSeconds(1), running.Grant!.EndsAt);
        Assert.Equal("deny session_too_long permissions.ssh.max_session_duration_seconds", Given.Outcome(policies.Evaluate(request with { SessionStartedAt = Given.Now.AddSeconds(-3600) })));
    }

    [Fact]
    public void Session_on_a_raw_socket_lasts_as_long_as_its_own_limit()
    {
        var policies = Given.Policies(Given.Policy(Given.Permitting("""{"ssh":{"shell":{},"max_session_duration_seconds":1},"tls":{"max_session_duration_seconds":3600}}""")));
        var request = Given.Request(new AccessAction.Connect(null), socket: Given.Socket("tls"));
        var running = policies.Evaluate(request with { SessionStartedAt = Given.Now.AddSeconds(-3599) });
        Assert.Equal(Given.Now.AddSeconds(1), running.Grant!.EndsAt);
        Assert.Equal("deny session_too_long permissions.tls.max_session_duration_seconds", Given.Outcome(policies.Evaluate(request with { SessionStartedAt = Given.Now.AddSeconds(-3600) })));
    }

    [Fact]
    public void Input_is_recorded_when_any_policy_that_allows_says_so()
    {
        var recorded = Given.Policy(Given.Permitting("""{"ssh":{"shell":{},"recording":{"input":true}}}"""), "b");
        var plain = Given.Policy(Given.Permitting("""{"ssh":{"shell":{},"recording":{}}}"""), "a");
        var others = Given.Policy("""{"permissions":{"ssh":{"shell":{},"recording":{"input":true}}},"condition":{"who":{"email":["bob@example.com"]}}}""", "c");
        Assert.True(Given.Policies(plain, recorded).Evaluate(Given.Request(Shell)).RecordInput);
        Assert.False(Given.Policies(plain, others).Evaluate(Given.Request(Shell)).RecordInput);
    }

    [Fact]
    public void Grant_carries_the_request_and_the_first_policy_by_name()
    {
        var a = Given.Policy(Given.Permitting("""{"ssh":{}}"""), "a");
        var b = Given.Policy(Given.Permitting("""{"ssh":{}}"""), "b");
        var decision = Given.Policies(b, a).Evaluate(Given.Request(Shell));
        Assert.Equal((a.Id, "a", 7L, Given.DecisionId, ReasonCode.Allowed), (decision.PolicyId!.Value, decision.PolicyName, decision.PolicyVersion, decision.Id, decision.ReasonCode));
        var grant = decision.Grant!;
        Assert.Equal((Given.Organization, Given.Alice, Given.DbHost, Given.DecisionId, 7L), (grant.OrganizationId, grant.SubjectId, grant.SocketId, grant.DecisionId, grant.PolicyVersion));
        Assert.Same(decision.Grant!.Action, grant.Action);
        Assert.Null(grant.EndsAt);
        Assert.Empty(decision.Reasons);
    }

    [Fact]
    public void Nobody_but_the_evaluator_can_make_a_grant()
    {
        var type = typeof(AccessGrant);
        Assert.True(type.IsSealed);
        Assert.Empty(type.GetConstructors());
        Assert.All(type.GetConstructors(System.Reflection.BindingFlags.NonPublic | System.Reflection.BindingFlags.Instance), constructor => Assert.True(constructor.IsAssembly));
        // A record would have a copying method, a settable property would let a grant be turned to another socket.
        Assert.Null(type.GetMethod("<Clone>$"));
        Assert.All(type.GetProperties(), property => Assert.False(property.CanWrite));
        Assert.DoesNotContain(type.Assembly.GetExportedTypes().SelectMany(exported => exported.GetMethods(System.Reflection.BindingFlags.Public | System.Reflection.BindingFlags.Static)), method => method.ReturnType == type);
    }

    [Fact]
    public void Default_decision_denies_and_says_so()
    {
        var decision = default(Decision);
        Assert.False(decision.Allowed);
        Assert.Equal((Verdict.Deny, ReasonCode.NotEvaluated, (AccessGrant?)null), (decision.Verdict, decision.ReasonCode, decision.Grant));
        Assert.Equal(Verdict.Deny, default(Verdict));
        Assert.Contains("denied", decision.Explain(), StringComparison.Ordinal);
    }

    [Fact]
    public void Every_reason_code_has_its_own_text()
    {
        var texts = Enum.GetValues<ReasonCode>().Select(code => code.ToText()).ToList();
        Assert.Equal(texts.Count, texts.Distinct().Count());
        Assert.All(texts, text => Assert.Matches("^[a-z_]+$", text));
    }

    private static Dictionary<string, string> Tags(string text) =>
        text.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(pair => pair.Split('=')).ToDictionary(pair => pair[0], pair => pair[1]);
}
