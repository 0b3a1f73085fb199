using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Unicode;

namespace Relay.Protocol.Tokens;

/// <summary>The claims of a token, typed. Immutable. Claims that are not named here are kept as text only if they are strings.</summary>
public sealed class JsonWebTokenClaims
{
    private const int MaximumSilos = 64, MaximumDepth = 8;

    // 9999-12-31T23:59:59Z, the framework's last second.
    private const long LastSecond = 253_402_300_799;

    private readonly Dictionary<string, string> _texts;

    private JsonWebTokenClaims(Dictionary<string, string> texts) => _texts = texts;

    /// <summary><c>iss</c>.</summary>
    public string Issuer => _texts["iss"];

    /// <summary><c>type</c>.</summary>
    public string Type => _texts["type"];

    /// <summary><c>sub</c>; null when absent.</summary>
    public string? Subject => GetText("sub");

    /// <summary><c>ca</c>; null when absent.</summary>
    public string? GridCaHash => GetText("ca");

    /// <summary><c>org_id</c>; null when absent.</summary>
    public Guid? OrganizationId { get; private init; }

    /// <summary><c>jti</c>; null when absent.</summary>
    public Guid? TokenId { get; private init; }

    /// <summary><c>connector_id</c>; null when absent.</summary>
    public Guid? ConnectorId { get; private init; }

    /// <summary><c>iat</c>.</summary>
    public DateTimeOffset IssuedAt { get; private init; }

    /// <summary><c>exp</c>; null when absent, which means never.</summary>
    public DateTimeOffset? ExpiresAt { get; private init; }

    /// <summary><c>silos</c>; empty when absent.</summary>
    public IReadOnlyList<string> Silos { get; private init; } = [];

    /// <summary>Any claim that is a string; null when absent or of another type.</summary>
    public string? GetText(string name) => _texts.GetValueOrDefault(name);

    /// <summary>Reads the payload; false for what is not such a set of claims.</summary>
    internal static bool TryRead(byte[] json, [NotNullWhen(true)] out JsonWebTokenClaims? claims)
    {
        claims = null;
        if (!TryParseObject(json, out JsonDocument? document)) return false;
        using (document)
        {
            JsonElement root = document.RootElement;
            if (!TryGetText(root, "iss", out string? issuer) || issuer is null
                || !TryGetText(root, "type", out string? type) || type is null
                || !TryGetText(root, "sub", out _) || !TryGetText(root, "ca", out _)
                || !TryGetGuid(root, "org_id", out Guid? organization)
                || !TryGetGuid(root, "jti", out Guid? token)
                || !TryGetGuid(root, "connector_id", out Guid? connector)
                || !TryGetTime(root, "iat", out DateTimeOffset? issued) || issued is null
                || !TryGetTime(root, "exp", out DateTimeOffset? expires)
                || !TryGetTexts(root, "silos", out string[] silos)) return false;

            var texts = new Dictionary<string, string>(StringComparer.Ordinal);
            foreach (JsonProperty property in root.EnumerateObject())
            {
                if (property.Value.ValueKind != JsonValueKind.String) continue;
                if (!TryGetString(property.Value, out string? value)) return false;
                texts.Add(property.Name, value);
            }

            claims = new JsonWebTokenClaims(texts)
            {
                OrganizationId = organization,
                TokenId = token,
                ConnectorId = connector,
                IssuedAt = issued.Value,
                ExpiresAt = expires,
                Silos = silos,
            };
            return true;
        }
    }

    /// <summary>Reads a JSON object of bounded depth in which no name stands twice. The caller disposes it.</summary>
    internal static bool TryParseObject(byte[] json, [NotNullWhen(true)] out JsonDocument? document)
    {
        document = null;
        if (!Utf8.IsValid(json)) return false; // the JSON reader looks at that only when a text is asked for
        try
        {
            // SECURITY: two readers could each believe another one of two members with the same name.
            var options = new JsonDocumentOptions { MaxDepth = MaximumDepth, AllowDuplicateProperties = false };
            document = JsonDocument.Parse(json, options);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // Not JSON, or a name with an escaped lone surrogate: the reader has no other way to say so.
            return false;
        }

        if (document.RootElement.ValueKind == JsonValueKind.Object) return true;
        document.Dispose();
        document = null;
        return false;
    }

    /// <summary>False when the member is there but is no text; null and true when it is absent.</summary>
    internal static bool TryGetText(JsonElement root, string name, out string? text)
    {
        text = null;
        return !root.TryGetProperty(name, out JsonElement value) || TryGetString(value, out text);
    }

    private static bool TryGetString(JsonElement value, [NotNullWhen(true)] out string? text)
    {
        text = null;
        if (value.ValueKind != JsonValueKind.String) return false;
        try
        {
            text = value.GetString()!;
            return true;
        }
        catch (InvalidOperationException)
        {
            // An escaped lone surrogate, which no text can hold.
            return false;
        }
    }

    private static bool TryGetGuid(JsonElement root, string name, out Guid? id)
    {
        id = null;
        if (!TryGetText(root, name, out string? text)) return false;
        if (text is null) return true;
        if (!Guid.TryParseExact(text, "D", out Guid parsed)) return false;
        id = parsed;
        return true;
    }

    // NumericDate, RFC 7519 §2; whole seconds only.
    private static bool TryGetTime(JsonElement root, string name, out DateTimeOffset? time)
    {
        time = null;
        if (!root.TryGetProperty(name, out JsonElement value)) return true;
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetInt64(out long seconds) || seconds is < 0 or > LastSecond) return false;
        time = DateTimeOffset.FromUnixTimeSeconds(seconds);
        return true;
    }

    private static bool TryGetTexts(JsonElement root, string name, out string[] texts)
    {
        texts = [];
        if (!root.TryGetProperty(name, out JsonElement value)) return true;
        if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() > MaximumSilos) return false;
        var found = new List<string>();
        foreach (JsonElement element in value.EnumerateArray())
        {
            if (!TryGetString(element, out string? text)) return false;
            found.Add(text);
        }

        texts = [.. found];
        return true;
    }
}
