using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Relay.Api;

namespace Relay.Silo.Api.Http;

/// <summary>
/// Reads a request's body against its contract: size first, then syntax (400 with the position), then every unknown, repeated
/// and mistyped field at once (422).
/// </summary>
internal static class RequestReader
{
    /// <summary>The largest body the API takes: a policy document of 256 KiB and room around it.</summary>
    public const int MaxBodyBytes = 1024 * 1024;

    private const int MaxDepth = 32;
    private static readonly JsonDocumentOptions Strict = new() { MaxDepth = MaxDepth };

    /// <summary>The body as <typeparamref name="T"/>.</summary>
    /// <param name="optional">True: no body is an empty object.</param>
    /// <exception cref="ApiException">400, 413, 415 or 422.</exception>
    public static async Task<T> ReadAsync<T>(HttpContext http, JsonTypeInfo<T> type, bool optional = false)
    {
        var body = await ReadBytesAsync(http);
        Idempotency.SetFingerprint(http, body);
        if (body.Length == 0 && optional)
            body = "{}"u8.ToArray();
        else if (!IsJson(http.Request.ContentType))
            throw new ApiException(415, ErrorCodes.UnsupportedMediaType, "send the body as application/json");
        using var document = Parse(body);
        var errors = new List<ApiErrorDetail>();
        CheckText(document.RootElement, "", errors);
        if (errors.Count > 0)
            throw ApiException.Invalid(errors);
        Check(document.RootElement, type, type.Options, "", errors);
        if (errors.Count > 0)
            throw ApiException.Invalid(errors);
        try
        {
            return document.RootElement.Deserialize(type) ?? throw ApiException.Invalid([new ApiErrorDetail("", "must be an object")]);
        }
        catch (JsonException exception)
        {
            throw ApiException.Invalid([new ApiErrorDetail(Field(exception.Path), "has the wrong type")]);
        }
    }

    private static async Task<byte[]> ReadBytesAsync(HttpContext http)
    {
        if (http.Request.ContentLength > MaxBodyBytes)
            throw TooLarge();
        using var buffer = new MemoryStream();
        var chunk = new byte[16 * 1024];
        while (true)
        {
            var read = await http.Request.Body.ReadAsync(chunk, http.RequestAborted);
            if (read == 0)
                return buffer.ToArray();
            if (buffer.Length + read > MaxBodyBytes)
                throw TooLarge();
            buffer.Write(chunk, 0, read);
        }
    }

    private static ApiException TooLarge() => new(413, ErrorCodes.TooLarge, $"the body is larger than {MaxBodyBytes} bytes");

    private static bool IsJson(string? contentType) =>
        contentType is not null && contentType.Split(';')[0].Trim().Equals("application/json", StringComparison.OrdinalIgnoreCase);

    private static JsonDocument Parse(byte[] body)
    {
        try
        {
            return JsonDocument.Parse(body, Strict);
        }
        catch (JsonException exception)
        {
            // Both count from 0 and the second counts bytes; people count from 1.
            throw new ApiException(400, ErrorCodes.InvalidJson, $"the body is not valid JSON at line {exception.LineNumber + 1}, byte {exception.BytePositionInLine + 1}");
        }
    }

    // Lone surrogates, which no text can hold, and NUL, which PostgreSQL cannot store, anywhere in the body.
    private static void CheckText(JsonElement element, string path, List<ApiErrorDetail> errors)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.String when !IsText(element.GetString, out _):
                errors.Add(new ApiErrorDetail(path, "is not valid text"));
                break;
            case JsonValueKind.Array:
                var index = 0;
                foreach (var item in element.EnumerateArray())
                    CheckText(item, $"{path}[{index++}]", errors);
                break;
            case JsonValueKind.Object:
                foreach (var property in element.EnumerateObject())
                {
                    if (IsText(() => property.Name, out var name))
                        CheckText(property.Value, Join(path, name), errors);
                    else
                        errors.Add(new ApiErrorDetail(path, "has a field whose name is not valid text"));
                }
                break;
        }
    }

    private static bool IsText(Func<string?> read, out string text)
    {
        text = "";
        try
        {
            text = read() ?? "";
            return !text.Contains('\0', StringComparison.Ordinal);
        }
        catch (InvalidOperationException)
        {
            // The reader's way to say that an escape makes no character.
            return false;
        }
    }

    private static void Check(JsonElement element, JsonTypeInfo type, JsonSerializerOptions options, string path, List<ApiErrorDetail> errors)
    {
        if (errors.Count >= 100 || element.ValueKind == JsonValueKind.Null && path.Length > 0)
            return;
        switch (type.Kind)
        {
            case JsonTypeInfoKind.Object:
                CheckObject(element, type, options, path, errors);
                break;
            case JsonTypeInfoKind.Enumerable when element.ValueKind != JsonValueKind.Array:
                errors.Add(new ApiErrorDetail(path, "must be a list"));
                break;
            case JsonTypeInfoKind.Enumerable:
                CheckEach(element.EnumerateArray().Select((item, index) => ($"{path}[{index}]", item)), type, options, errors);
                break;
            case JsonTypeInfoKind.Dictionary when element.ValueKind != JsonValueKind.Object:
                errors.Add(new ApiErrorDetail(path, "must be an object"));
                break;
            case JsonTypeInfoKind.Dictionary:
                CheckRepeated(element, path, errors);
                CheckEach(element.EnumerateObject().Select(p => (Join(path, p.Name), p.Value)), type, options, errors);
                break;
            case JsonTypeInfoKind.None when Mistyped(element, type.Type) is { } message:
                errors.Add(new ApiErrorDetail(path, message));
                break;
        }
    }

    private static void CheckObject(JsonElement element, JsonTypeInfo type, JsonSerializerOptions options, string path, List<ApiErrorDetail> errors)
    {
        if (element.ValueKind != JsonValueKind.Object)
        {
            errors.Add(new ApiErrorDetail(path, "must be an object"));
            return;
        }
        CheckRepeated(element, path, errors);
        foreach (var property in element.EnumerateObject())
        {
            var known = type.Properties.FirstOrDefault(p => p.Name == property.Name);
            if (known is null)
                errors.Add(new ApiErrorDetail(Join(path, ApiException.Printable(property.Name)), "is not a field of this request"));
            else
                Check(property.Value, options.GetTypeInfo(known.PropertyType), options, Join(path, property.Name), errors);
        }
    }

    // A list or map with a null inside would reach code that the compiler promised no null.
    private static void CheckEach(IEnumerable<(string Path, JsonElement Item)> items, JsonTypeInfo type, JsonSerializerOptions options, List<ApiErrorDetail> errors)
    {
        var itemType = options.GetTypeInfo(type.ElementType!);
        foreach (var (path, item) in items)
        {
            if (item.ValueKind == JsonValueKind.Null)
                errors.Add(new ApiErrorDetail(path, "must not be null"));
            else
                Check(item, itemType, options, path, errors);
        }
    }

    private static void CheckRepeated(JsonElement element, string path, List<ApiErrorDetail> errors)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var property in element.EnumerateObject())
        {
            if (!seen.Add(property.Name))
                errors.Add(new ApiErrorDetail(Join(path, ApiException.Printable(property.Name)), "is given twice"));
        }
    }

    private static string? Mistyped(JsonElement element, Type type)
    {
        type = Nullable.GetUnderlyingType(type) ?? type;
        if (type == typeof(string))
            return element.ValueKind == JsonValueKind.String ? null : "must be a string";
        if (type == typeof(bool))
            return element.ValueKind is JsonValueKind.True or JsonValueKind.False ? null : "must be true or false";
        if (type == typeof(int))
            return element.ValueKind == JsonValueKind.Number && element.TryGetInt32(out _) ? null : "must be a whole number";
        if (type == typeof(DateTimeOffset))
            return element.ValueKind == JsonValueKind.String && element.TryGetDateTimeOffset(out _) ? null : "must be a time such as 2030-01-31T12:00:00Z";
        return null;
    }

    private static string Join(string path, string name) => path.Length == 0 ? name : $"{path}.{name}";

    private static string Field(string? path) => path is null or "$" ? "" : path.StartsWith("$.", StringComparison.Ordinal) ? path[2..] : path;
}
