using Relay.Api;

namespace Relay.Silo.Api.Http;

/// <summary>A refusal on its way to the caller. The message is shown as it is.</summary>
internal sealed class ApiException(int statusCode, string code, string message, IReadOnlyList<ApiErrorDetail>? details = null) : Exception(message)
{
    public int StatusCode { get; } = statusCode;

    /// <summary>One of <see cref="ErrorCodes"/>.</summary>
    public string Code { get; } = code;

    public IReadOnlyList<ApiErrorDetail> Details { get; } = details ?? [];

    /// <summary>Sent as Retry-After, in whole seconds; null: no such header.</summary>
    public int? RetryAfterSeconds { get; init; }

    public static ApiException NotFound(string what, string name) => new(404, ErrorCodes.NotFound, $"there is no {what} {Printable(name)}");

    public static ApiException NameTaken(string what, string name) =>
        new(409, ErrorCodes.NameTaken, $"there is already a {what} named {Printable(name)}", [new ApiErrorDetail("name", "is taken")]);

    public static ApiException Forbidden(string message) => new(403, ErrorCodes.Forbidden, message);

    public static ApiException BadToken(string message) => new(401, ErrorCodes.Unauthorized, message);

    public static ApiException Invalid(IReadOnlyList<ApiErrorDetail> details) =>
        new(422, ErrorCodes.Invalid, details.Count == 1 ? $"{details[0].Field}: {details[0].Message}" : $"{details.Count} fields are invalid: {string.Join(", ", details.Select(d => d.Field))}", details);

    /// <summary>What a caller sent, fit to be shown on a terminal.</summary>
    internal static string Printable(string text)
    {
        var shown = text.Length > 80 ? text[..80] + "…" : text;
        return string.Concat(shown.Select(c => char.IsControl(c) ? '?' : c));
    }
}

/// <summary>The stable names of refusals.</summary>
internal static class ErrorCodes
{
    public const string InvalidJson = "invalid_json";
    public const string Invalid = "invalid";
    public const string UnknownFilter = "unknown_filter";
    public const string BadRequest = "bad_request";
    public const string Unauthorized = "unauthorized";
    public const string Forbidden = "forbidden";
    public const string LoginTooOld = "login_too_old";
    public const string NotFound = "not_found";
    public const string MethodNotAllowed = "method_not_allowed";
    public const string NameTaken = "name_taken";
    public const string Conflict = "conflict";
    public const string IdempotencyKeyReused = "idempotency_key_reused";
    public const string PreconditionFailed = "precondition_failed";
    public const string TooLarge = "body_too_large";
    public const string UnsupportedMediaType = "unsupported_media_type";
    public const string TooManyRequests = "too_many_requests";
    public const string StoreUnavailable = "store_unavailable";
    public const string Internal = "internal";
}
