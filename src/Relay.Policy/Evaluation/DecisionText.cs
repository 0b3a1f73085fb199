namespace Relay.Policy;

/// <summary>Decisions as text.</summary>
internal static class DecisionText
{
    public static string ForRequester(Decision decision, DecisionFacts? facts) => $"{decision.Verdict} {facts?.Request.DecisionId}";

    public static string ForAdministrator(Decision decision, DecisionFacts? facts) => ForRequester(decision, facts);
}
