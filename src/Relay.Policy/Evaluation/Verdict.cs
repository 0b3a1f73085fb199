namespace Relay.Policy;

/// <summary>The answer. Zero is the refusal, so that a value nobody set refuses.</summary>
public enum Verdict
{
    /// <summary>Refused.</summary>
    Deny = 0,

    /// <summary>Granted.</summary>
    Allow = 1,
}
