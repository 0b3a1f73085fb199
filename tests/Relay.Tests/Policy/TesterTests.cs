using System.Net;
using Relay.Policy;

namespace Relay.Tests.Policy;

public sealed class TesterTests
{
    private const string Json = """
        {"permissions":{"ssh":{"shell":{},"exec":{"commands":[]}},"http":{}},
         "condition":{"who":{"email":["alice@example.com"]},"where":{"allowed_ip":["10.0.0.0/8"]},"when":{"time_of_day_after":"09:00 UTC"}}}
        """;

    [Fact]
    public void Condition_is_judged_clause_by_clause_whatever_the_socket()
    {
        var report = PolicyTester.Test(Given.Policy(Json), Given.User("alice@example.com"), IPAddress.Parse("192.0.2.1"), null, Given.Now);
        Assert.False(report.Passed);
        Assert.Equal(["ssh.shell", "http"], report.AllowedActions);
        Assert.Equal(
            ["allowed $.condition.who", "ip_not_allowed $.condition.where.allowed_ip", "allowed $.condition.where.country", "allowed $.condition.where.country_not",
                "allowed $.condition.when.after", "allowed $.condition.when.before", "allowed $.condition.when.time_of_day_after", "allowed expires", "allowed $.integrations"],
            report.Clauses.Select(clause => $"{clause.Code.ToText()} {clause.Clause}"));
        Assert.True(PolicyTester.Test(Given.Policy(Json), Given.User("alice@example.com"), IPAddress.Parse("10.9.9.9"), null, Given.Now).Passed);
    }

    [Fact]
    public void Policy_that_permits_nothing_does_not_pass() =>
        Assert.False(PolicyTester.Test(Given.Policy(Given.Permitting("""{"ssh":{"exec":{"commands":[]}}}""")), Given.User("alice@example.com"), IPAddress.Loopback, null, Given.Now).Passed);

    [Theory]
    [InlineData("shell", true)]
    [InlineData("exec id", false)]
    public void Request_is_judged_whether_or_not_the_policy_applies(string action, bool passed)
    {
        var unattached = Given.Policy(Json) with { SocketIds = new HashSet<Guid>() };
        var report = PolicyTester.Test(unattached, Given.Request(Given.Action(action), ip: "10.0.0.1"));
        Assert.Equal(passed, report.Passed);
        Assert.Equal(12, report.Clauses.Count);
    }

    [Fact]
    public void All_policies_on_the_socket_are_listed_by_name()
    {
        var elsewhere = Given.Policy(Json, "elsewhere") with { SocketIds = new HashSet<Guid>() };
        var policies = Given.Policies(Given.Policy(Json, "b"), elsewhere, Given.Policy(Given.Permitting("{}"), "a"));
        var reports = PolicyTester.TestAll(policies, Given.Request(new AccessAction.SshShell(null), ip: "10.0.0.1"));
        Assert.Equal(["a False", "b True"], reports.Select(entry => $"{entry.Policy.Name} {entry.Report.Passed}"));
    }

    [Fact]
    public void Tester_and_evaluator_agree() =>
        Checked.ForAll(RandomPolicies.Scenarios, 2_000, scenario =>
        {
            var policies = RandomPolicies.Compile(scenario.Policies);
            return policies.Evaluate(scenario.Request).Allowed == PolicyTester.TestAll(policies, scenario.Request).Any(entry => entry.Report.Passed);
        });
}
