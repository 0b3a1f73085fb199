using System.Globalization;
using System.Text.Json;
using System.Text.Unicode;

namespace Relay.Policy;

/// <summary>From bytes to a <see cref="PolicyModel"/>, or to errors.</summary>
internal static class DocumentParser
{
    private static readonly JsonDocumentOptions Options = new() { MaxDepth = PolicyLimits.MaxDepth };

    private static ReadOnlySpan<byte> Utf8Bom => [0xEF, 0xBB, 0xBF];

    public static ReadOnlyMemory<byte> WithoutBom(ReadOnlyMemory<byte> json) => json.Span.StartsWith(Utf8Bom) ? json[Utf8Bom.Length..] : json;

    /// <summary>Null exactly when <paramref name="errors"/> is not empty.</summary>
    public static PolicyModel? Parse(ReadOnlyMemory<byte> json, out IReadOnlyList<PolicyError> errors)
    {
        var list = new ErrorList();
        var model = Parse(json, list);
        errors = list.Errors;
        return errors.Count == 0 ? model : null;
    }

    private static PolicyModel? Parse(ReadOnlyMemory<byte> json, ErrorList errors)
    {
        // L16: the size is checked before anything is allocated for it.
        if (json.Length > PolicyLimits.MaxDocumentBytes)
        {
            errors.Add("$", $"The document has {json.Length} bytes; at most {PolicyLimits.MaxDocumentBytes} are allowed.");
            return null;
        }

        json = WithoutBom(json);
        if (!Utf8.IsValid(json.Span))
        {
            errors.Add("$", "The document is not UTF-8.");
            return null;
        }

        try
        {
            using var document = JsonDocument.Parse(json, Options);
            return Parse(new PolicyNode(document.RootElement, "$", errors));
        }
        catch (JsonException exception)
        {
            // Line and column count from zero; people from one.
            errors.Add("$", string.Create(CultureInfo.InvariantCulture,
                $"Not valid JSON at line {exception.LineNumber + 1}, byte {exception.BytePositionInLine + 1} (nested at most {PolicyLimits.MaxDepth} deep, no comments, no trailing commas)."));
            return null;
        }
    }

    private static PolicyModel? Parse(PolicyNode root)
    {
        if (root.Value.ValueKind == JsonValueKind.Object && IsV1(root.Value))
            return ParseV1(root);
        if (root.Object("version", "permissions", "condition") is not { } document)
            return null;
        document.Read("version", static node => node.Word("v2", "v1"));
        if (!document.Has("permissions"))
            root.Error("\"permissions\" is missing: say what is permitted, or {} for nothing.");
        if (!document.Has("condition"))
            root.Error("\"condition\" is missing: say who may, e.g. {\"who\": {\"email\": [\"alice@example.com\"]}}.");
        var permissions = document.Read("permissions", PermissionsParser.Parse);
        var condition = document.Read("condition", static node => ConditionParser.Parse(node, PolicySchemaVersion.V2));
        return permissions is null || condition is null
            ? null
            : new PolicyModel { Version = PolicySchemaVersion.V2, Permissions = permissions, Condition = condition };
    }

    private static PolicyModel? ParseV1(PolicyNode root)
    {
        if (root.Object("version", "action", "condition", "integrations") is not { } document)
            return null;
        if (!document.Has("action"))
            root.Error("\"action\" is missing: say what is permitted, e.g. [\"ssh\"].");
        if (!document.Has("condition"))
            root.Error("\"condition\" is missing: say who may.");
        var permissions = document.Read("action", ActionsParser.Parse);
        var condition = document.Read("condition", static node => ConditionParser.Parse(node, PolicySchemaVersion.V1));
        var integrations = document.Read("integrations", static node => node.List(PolicyLimits.MaxListEntries, Integration));
        return permissions is null || condition is null
            ? null
            : new PolicyModel { Version = PolicySchemaVersion.V1, Permissions = permissions, Condition = condition, Integrations = integrations ?? [] };
    }

    // With two "version" keys either schema reports the repetition, so it does not matter which one TryGetProperty takes.
    private static bool IsV1(JsonElement root) => root.TryGetProperty("version", out var version) && version.ValueKind == JsonValueKind.String && version.ValueEquals("v1"u8);

    private static string? Integration(PolicyNode node)
    {
        if (node.Object("integration_name", "configuration") is not { } integration)
            return null;
        if (!integration.Has("integration_name"))
            node.Error("\"integration_name\" is missing.");
        // What a configuration holds is the integration's business; that it is an object is ours.
        integration.Read("configuration", static configuration => configuration.Members());
        return integration.Read("integration_name", static name => name.Text());
    }
}
