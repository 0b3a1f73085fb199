using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace Relay.Policy;

/// <summary>A policy document that parsed and is valid. Immutable; safe for concurrent use.</summary>
public sealed class PolicyDocument
{
    private PolicyDocument(PolicyModel model) => Model = model;

    /// <summary>Schema the text was written in.</summary>
    public PolicySchemaVersion Version => Model.Version;

    internal PolicyModel Model { get; }

    /// <summary>
    /// Parses and validates a document of either schema (README.md). Never throws on any input.
    /// False: nothing may be used of it, and <paramref name="errors"/> has every mistake at once (at most <see cref="PolicyLimits.MaxErrors"/>).
    /// </summary>
    /// <param name="json">UTF-8 JSON, at most <see cref="PolicyLimits.MaxDocumentBytes"/>.</param>
    /// <param name="document">The document; null when false is returned.</param>
    /// <param name="errors">Empty exactly when true is returned.</param>
    public static bool TryParse(ReadOnlyMemory<byte> json, [NotNullWhen(true)] out PolicyDocument? document, out IReadOnlyList<PolicyError> errors)
    {
        var model = DocumentParser.Parse(json, out errors);
        document = model is null ? null : new PolicyDocument(model);
        return model is not null;
    }

    /// <inheritdoc cref="TryParse(ReadOnlyMemory{byte}, out PolicyDocument?, out IReadOnlyList{PolicyError})"/>
    public static bool TryParse(string json, [NotNullWhen(true)] out PolicyDocument? document, out IReadOnlyList<PolicyError> errors)
    {
        if (json.Length <= PolicyLimits.MaxDocumentBytes)
            return TryParse(Encoding.UTF8.GetBytes(json), out document, out errors);

        // Never encoded: it is too long in any encoding.
        document = null;
        errors = [new PolicyError("$", $"The document has {json.Length} characters; at most {PolicyLimits.MaxDocumentBytes} bytes are allowed.")];
        return false;
    }
}
