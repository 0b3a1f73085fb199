using Relay.Policy;

namespace Relay.Tests.Policy;

/// <summary>A silo judges every live session at each change of policy: cost is counted in bytes and policies, not in time.</summary>
public sealed class ScaleTests
{
    [Theory]
    [InlineData("organization-wide")]
    [InlineData("one group in all")]
    public void Decision_among_ten_thousand_policies_allocates_only_itself(string shape)
    {
        var document = Given.Document(Given.Under("""{"who":{"group":["ops"]},"where":{"allowed_ip":["0.0.0.0/0"]}}"""));
        var others = Given.Document(Given.Under("""{"who":{"email":["bob@example.com"]}}"""));
        var entries = Enumerable.Range(0, 10_000).Select(i => shape == "organization-wide"
            ? new PolicyEntry(Guid.NewGuid(), "p" + i, i == 5_000 ? document : others, true, new HashSet<Guid>(), [])
            : new PolicyEntry(Guid.NewGuid(), "p" + i, document, false, new HashSet<Guid> { i == 5_000 ? Given.DbHost : Guid.NewGuid() }, []));
        var policies = CompiledPolicies.Compile(Given.Organization, 1, entries);
        var request = Given.Request(new AccessAction.SshShell(null), Given.User("alice@example.com", "ops"));
        Assert.Equal("p5000", policies.Evaluate(request).PolicyName);

        const int Rounds = 100;
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < Rounds; i++)
            policies.Evaluate(request);
        var each = (GC.GetAllocatedBytesForCurrentThread() - before) / Rounds;
        // The decision, its grant, the mail domain and an enumerator of groups.
        Assert.InRange(each, 1, 600);
    }

    [Fact]
    public void Denial_among_ten_thousand_policies_is_bounded()
    {
        var others = Given.Document(Given.Under("""{"who":{"email":["bob@example.com"]}}"""));
        var policies = CompiledPolicies.Compile(Given.Organization, 1, Enumerable.Range(0, 10_000).Select(i => new PolicyEntry(Guid.NewGuid(), "p" + i, others, true, new HashSet<Guid>(), [])));
        var decision = policies.Evaluate(Given.Request(new AccessAction.SshShell(null)));
        Assert.Equal((10_000, CompiledPolicies.MaxExplainedPolicies), (decision.PoliciesConsidered, decision.Reasons.Count));
        Assert.InRange(decision.Explain().Length, 100, 2_500);
    }

    [Fact]
    public void Person_in_more_groups_than_are_kept_inline_is_found_in_each()
    {
        var groups = Enumerable.Range(0, 40).Select(i => "group-" + i).ToArray();
        foreach (var group in groups)
        {
            // The one policy that allows is reached by the person: by the socket there are more.
            var entries = groups.Select(name => new PolicyEntry(
                Guid.NewGuid(), name, Given.Document(Given.Under($$$"""{"who":{"group":["{{{name}}}"]}{{{(name == group ? "" : ""","where":{"allowed_ip":["10.0.0.0/8"]}""")}}}}""")), true, new HashSet<Guid>(), []))
                .Concat(Enumerable.Range(0, 50).Select(i => new PolicyEntry(Guid.NewGuid(), "other" + i, Given.Document(Given.Under("""{"who":{"email":["bob@example.com"]}}""")), true, new HashSet<Guid>(), [])));
            Assert.Equal(group, CompiledPolicies.Compile(Given.Organization, 1, entries).Evaluate(Given.Request(new AccessAction.SshShell(null), Given.User("", groups))).PolicyName);
        }
    }
}
