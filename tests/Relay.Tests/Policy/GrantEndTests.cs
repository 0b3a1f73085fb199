using Relay.Policy;

namespace Relay.Tests.Policy;

public sealed class GrantEndTests
{
    [Theory]
    [InlineData("""{"time_of_day_after":"09:00 UTC","time_of_day_before":"17:00 UTC"}""", "2026-03-11T10:30:00Z", "2026-03-11T17:00:00Z")]
    [InlineData("""{"time_of_day_after":"22:00 UTC","time_of_day_before":"06:00 UTC"}""", "2026-03-11T23:30:00Z", "2026-03-12T06:00:00Z")]
    [InlineData("""{"time_of_day_after":"22:00 UTC","time_of_day_before":"06:00 UTC"}""", "2026-03-11T00:30:00Z", "2026-03-11T06:00:00Z")]
    [InlineData("""{"time_of_day_after":"22:00 UTC"}""", "2026-03-11T23:30:00Z", "2026-03-12T00:00:00Z")]
    [InlineData("""{"time_of_day_after":"00:00 UTC","time_of_day_before":"23:59 UTC"}""", "2026-03-11T23:30:00Z", null)]
    [InlineData("""{"before":"2026-03-11T16:00:00Z","time_of_day_after":"09:00 UTC","time_of_day_before":"17:00 UTC"}""", "2026-03-11T10:30:00Z", "2026-03-11T16:00:00Z")]
    // Summer time begins on 2026-03-29 01:00 UTC in Berlin: there is no 02:00 to 03:00.
    [InlineData("""{"time_of_day_before":"02:30 Europe/Berlin"}""", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z")]
    [InlineData("""{"time_of_day_after":"22:00 Europe/Berlin","time_of_day_before":"06:00 Europe/Berlin"}""", "2026-03-28T22:00:00Z", "2026-03-29T04:00:00Z")]
    // It ends on 2026-10-25 01:00 UTC: 02:00 to 03:00 comes twice.
    [InlineData("""{"time_of_day_before":"02:30 Europe/Berlin"}""", "2026-10-24T23:30:00Z", "2026-10-25T00:30:00Z")]
    [InlineData("""{"time_of_day_before":"02:30 Europe/Berlin"}""", "2026-10-25T01:10:00Z", "2026-10-25T01:30:00Z")]
    [InlineData("""{"time_of_day_after":"02:30 Europe/Berlin","time_of_day_before":"05:00 Europe/Berlin"}""", "2026-10-25T00:45:00Z", "2026-10-25T01:00:00Z")]
    [InlineData("""{"time_of_day_after":"22:00 Europe/Berlin","time_of_day_before":"06:00 Europe/Berlin"}""", "2026-10-24T22:00:00Z", "2026-10-25T05:00:00Z")]
    public void Grant_ends_with_the_window(string when, string now, string? end)
    {
        var policies = Given.Policies(Given.Policy(Given.Under($$$"""{"who":{"email":["alice@example.com"]},"when":{{{when}}}}""")));
        var decision = policies.Evaluate(Given.Request(new AccessAction.SshShell(null), now: Given.At(now)));
        Assert.True(decision.Allowed, decision.ExplainInFull());
        Assert.Equal(end is null ? null : Given.At(end), decision.Grant!.EndsAt);
    }

    [Fact]
    public void A_policy_that_expires_grants_until_then_and_says_so_afterwards()
    {
        var policies = Given.Policies(Given.Policy(Given.Under("""{"who":{"email":["alice@example.com"]},"when":{"before":"2026-03-11T16:00:00Z"}}""")) with { Expires = Given.At("2026-03-11T12:00:00Z") });
        Assert.Equal(Given.At("2026-03-11T12:00:00Z"), policies.Evaluate(Given.Request(new AccessAction.SshShell(null), now: Given.At("2026-03-11T11:59:59Z"))).Grant!.EndsAt);
        var late = policies.Evaluate(Given.Request(new AccessAction.SshShell(null), now: Given.At("2026-03-11T12:00:00Z")));
        Assert.False(late.Allowed);
        var reason = Assert.Single(late.Reasons);
        Assert.Equal((ReasonCode.NoLonger, "expires"), (reason.Code, reason.Clause));
    }

    [Fact]
    public void Latest_end_of_the_policies_that_allow_counts()
    {
        static PolicyEntry Until(string time, string name) => Given.Policy(Given.Under($$$"""{"who":{"email":["alice@example.com"]},"when":{"before":"{{{time}}}"}}"""), name);
        var decision = Given.Policies(Until("2026-03-11T12:00:00Z", "a"), Until("2026-03-11T14:00:00Z", "b"), Until("2026-03-11T13:00:00Z", "c")).Evaluate(Given.Request(new AccessAction.SshShell(null)));
        Assert.Equal(Given.At("2026-03-11T14:00:00Z"), decision.Grant!.EndsAt);
    }
}
