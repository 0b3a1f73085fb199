using System.Globalization;
using System.Text;

namespace Relay.Policy;

/// <summary>Decisions as text.</summary>
internal static class DecisionText
{
    private const int MaxReasonLines = 8;

    public static string ForRequester(DecisionFacts? facts)
    {
        var text = new StringBuilder(Headline(facts));
        if (facts is { Grant: null })
        {
            foreach (var reason in facts.Reasons.Take(MaxReasonLines))
                text.Append('\n').Append(CultureInfo.InvariantCulture, $"Policy {SafeText.Quote(reason.PolicyName)}, {reason.Clause}: {reason.Fact}.");
            var shown = facts.Reasons.Take(MaxReasonLines).Select(reason => reason.PolicyId).Distinct().Count();
            if (facts.PoliciesConsidered > shown)
                text.Append('\n').Append(CultureInfo.InvariantCulture, $"And {facts.PoliciesConsidered - shown} more that apply to this socket do not allow it.");
            if (SmallestChange(facts) is { } change)
                text.Append("\nSmallest change that would allow it: ").Append(change);
        }

        return Finish(text, facts);
    }

    public static string ForAdministrator(DecisionFacts? facts)
    {
        var text = new StringBuilder(Headline(facts));
        if (facts is not null)
        {
            foreach (var reason in facts.Reasons)
                text.Append('\n').Append(CultureInfo.InvariantCulture, $"Policy {SafeText.Quote(reason.PolicyName)}, {reason.Clause} [{reason.Code.ToText()}]: {reason.Fact}; needed: {reason.Needed}; change: {reason.Change}.");
            text.Append('\n').Append(CultureInfo.InvariantCulture, $"Policies that apply to the socket and do not allow it: {facts.PoliciesConsidered}.");
        }

        return Finish(text, facts);
    }

    private static string Headline(DecisionFacts? facts)
    {
        if (facts is null)
            return "Access denied: nothing was evaluated.";
        var what = $"{facts.Request.Action.Name} on {SafeText.Quote(facts.Request.Socket.Name)}";
        return facts.Code switch
        {
            ReasonCode.Allowed => $"Access allowed: {what}, by policy {SafeText.Quote(facts.PolicyName)}.",
            ReasonCode.NoPolicyForSocket => $"Access denied: {what}: no policy applies to this socket.",
            _ when facts.Reasons.Count > 0 => $"Access denied: {what}: no policy allows it.",
            ReasonCode.UnknownSocketType => $"Access denied: {what}: policies know no sockets of type {SafeText.Quote(facts.Request.Socket.SocketType)}.",
            ReasonCode.ActionNotApplicable => $"Access denied: {what}: a socket of type {SafeText.Quote(facts.Request.Socket.SocketType)} has no such action.",
            _ => $"Access denied: {what}: the request is not valid.",
        };
    }

    /// <summary>Everything the nearest policy would need.</summary>
    private static string? SmallestChange(DecisionFacts facts)
    {
        if (facts.Code == ReasonCode.NoPolicyForSocket)
            return $"a policy on this socket that permits {facts.Request.Action.Name} to you.";
        if (facts.Reasons.Count == 0)
            return null;
        var nearest = facts.Reasons.TakeWhile(reason => reason.PolicyId == facts.Reasons[0].PolicyId).ToList();
        return $"in policy {SafeText.Quote(nearest[0].PolicyName)}, {string.Join("; and ", nearest.Select(reason => reason.Change))}.";
    }

    private static string Finish(StringBuilder text, DecisionFacts? facts) =>
        text.Append('\n').Append(CultureInfo.InvariantCulture, $"Decision {facts?.Request.DecisionId ?? Guid.Empty}").ToString();
}
