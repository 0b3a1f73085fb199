using FsCheck;
using FsCheck.Fluent;
using Relay.Policy;

namespace Relay.Tests.Policy;

public sealed class OracleTests
{
    [Fact]
    public void Evaluator_agrees_with_a_reading_of_the_text()
    {
        var allowed = 0;
        Checked.ForAll(RandomPolicies.Scenarios, 8_000, scenario =>
        {
            var decision = RandomPolicies.Compile(scenario.Policies).Evaluate(scenario.Request);
            allowed += decision.Allowed ? 1 : 0;
            return decision.Allowed == Oracle.Allows(scenario.Policies, scenario.Request);
        });
        // Otherwise the world is so large that everything is denied, and agreement shows nothing.
        Assert.InRange(allowed, 400, 7_600);
    }

    [Fact]
    public void Longest_duration_agrees_with_a_reading_of_the_text() =>
        Checked.ForAll(RandomPolicies.Scenarios, 2_000, scenario =>
        {
            var decision = RandomPolicies.Compile(scenario.Policies).Evaluate(scenario.Request);
            var limits = scenario.Policies.Where(policy => Oracle.Allows([policy], scenario.Request)).Select(policy => Oracle.Duration(policy.Json, scenario.Request.Socket.SocketType)).ToList();
            return decision.MaxSessionDuration == (limits.Contains(null) || limits.Count == 0 ? null : limits.Max());
        });

    [Fact]
    public void Adding_a_policy_never_narrows_and_removing_one_never_widens() =>
        Checked.ForAll(RandomPolicies.Scenarios, 2_000, scenario =>
        {
            var all = RandomPolicies.Compile(scenario.Policies).Evaluate(scenario.Request);
            return Enumerable.Range(0, scenario.Policies.Length).All(left =>
            {
                var fewer = RandomPolicies.Compile(scenario.Policies.Where((_, i) => i != left)).Evaluate(scenario.Request);
                return !fewer.Allowed || (all.Allowed
                    && (all.MaxSessionDuration is null || all.MaxSessionDuration >= fewer.MaxSessionDuration)
                    && (all.Grant!.EndsAt is null || all.Grant.EndsAt >= fewer.Grant!.EndsAt)
                    && (all.RecordInput || !fewer.RecordInput));
            });
        });

    [Fact]
    public void Order_of_the_policies_does_not_matter() =>
        Checked.ForAll(RandomPolicies.Scenarios, 2_000, scenario =>
        {
            var forward = RandomPolicies.Compile(scenario.Policies).Evaluate(scenario.Request);
            var backward = RandomPolicies.Compile(scenario.Policies.Reverse()).Evaluate(scenario.Request);
            return (forward.Allowed, forward.MaxSessionDuration, forward.Grant?.EndsAt, forward.RecordInput) == (backward.Allowed, backward.MaxSessionDuration, backward.Grant?.EndsAt, backward.RecordInput);
        });

    [Fact]
    public void Grant_holds_without_a_break_until_its_end_where_its_last_policy_stops()
    {
        var ends = 0;
        Checked.ForAll(RandomPolicies.Scenarios, 4_000, scenario =>
        {
            var policies = RandomPolicies.Compile(scenario.Policies);
            var request = scenario.Request with { SessionStartedAt = scenario.Request.SessionStartedAt ?? scenario.Request.Now };
            if (policies.Evaluate(request).Grant is not { } grant)
                return true;
            if (grant.EndsAt is not { } end)
                return new[] { 1, 90, 400 }.All(days => policies.Evaluate(request with { Now = request.Now.AddDays(days) }).Allowed);
            ends++;
            var allowing = scenario.Policies.Where(policy => Oracle.Allows([policy], request)).ToArray();
            var between = Enumerable.Range(0, 24).Select(step => request.Now + (end - request.Now) / 24 * step);
            return end > request.Now
                && between.Append(end.AddTicks(-1)).All(now => policies.Evaluate(request with { Now = now }).Allowed)
                && allowing.Any(policy => Oracle.Allows([policy], request with { Now = end.AddTicks(-1) }) && !Oracle.Allows([policy], request with { Now = end }));
        });
        Assert.True(ends > 80, $"only {ends} grants had an end");
    }

    [Fact]
    public void Denial_explains_itself_with_clauses_that_fail()
    {
        Checked.ForAll(RandomPolicies.Scenarios, 2_000, scenario =>
        {
            var decision = RandomPolicies.Compile(scenario.Policies).Evaluate(scenario.Request);
            var text = decision.Explain();
            var applying = scenario.Policies.Count(policy => Oracle.Applies(policy, scenario.Request.Socket));
            return text.Split('\n').Length <= 12 && text.EndsWith($"Decision {Given.DecisionId}", StringComparison.Ordinal) && !text.Replace('\n', ' ').Any(char.IsControl)
                && (decision.Allowed || decision.ReasonCode is ReasonCode.NoPolicyForSocket or ReasonCode.InvalidRequest or ReasonCode.UnknownSocketType or ReasonCode.ActionNotApplicable
                    ? decision.Reasons.Count == 0 : decision.Reasons.Count > 0 && decision.PoliciesConsidered == applying)
                && decision.Reasons.All(reason => reason.Code is not (ReasonCode.Allowed or ReasonCode.NotEvaluated) && reason.Clause.StartsWith("$.", StringComparison.Ordinal) && reason.Fact.Length > 0 && reason.Change.Length > 0);
        });
    }
}
