using System.Diagnostics.CodeAnalysis;

namespace Relay.Policy;

/// <summary>Rewrites v1 documents as v2.</summary>
public static class PolicyConverter
{
    /// <summary>
    /// The v2 text that allows exactly what the v1 text allows. False: the text is not a valid v1 document, or says what v2 cannot
    /// (<c>who.domain</c>, <c>integrations</c>); <paramref name="errors"/> has every reason, and nothing was converted.
    /// </summary>
    public static bool TryConvert(ReadOnlyMemory<byte> v1Json, [NotNullWhen(true)] out string? v2Json, out IReadOnlyList<PolicyError> errors)
    {
        v2Json = null;
        errors = [new PolicyError("$", $"{v1Json.Length} bytes not read.")];
        return false;
    }
}
