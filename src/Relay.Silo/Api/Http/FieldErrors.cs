using System.Diagnostics.CodeAnalysis;
using System.Text.RegularExpressions;
using Relay.Api;

namespace Relay.Silo.Api.Http;

/// <summary>Collects everything that is wrong with a request, so that it is answered at once. Not thread-safe.</summary>
internal sealed partial class FieldErrors
{
    private readonly List<ApiErrorDetail> _errors = [];

    public bool Any => _errors.Count > 0;

    public void Add(string field, string message) => _errors.Add(new ApiErrorDetail(field, message));

    /// <summary>Throws 422 with every error so far, if any.</summary>
    public void ThrowIfAny()
    {
        if (_errors.Count > 0)
            throw ApiException.Invalid(_errors);
    }

    /// <summary>
    /// A resource name: 1–63 letters, digits, hyphens, neither first nor last a hyphen; and no UUID, because paths take either.
    /// SECURITY: names end up in ssh configurations and ProxyCommands (L19); this is the wall.
    /// </summary>
    public string Name(string field, string? value, bool lowercase = false)
    {
        if (string.IsNullOrEmpty(value))
            Add(field, "is required");
        else if (!NamePattern().IsMatch(value))
            Add(field, "must be 1 to 63 letters, digits and hyphens, neither starting nor ending with a hyphen");
        else if (lowercase && value.Any(char.IsAsciiLetterUpper))
            Add(field, "must be lowercase");
        else if (Guid.TryParse(value, out _))
            Add(field, "must not look like an id");
        return value ?? "";
    }

    /// <summary>Free text of one line; null becomes empty.</summary>
    public string Text(string field, string? value, int maxLength = 255)
    {
        if (value is null)
            return "";
        if (value.Length > maxLength)
            Add(field, $"must be at most {maxLength} characters");
        if (value.Any(char.IsControl))
            Add(field, "must not contain control characters");
        return value;
    }

    public string Email(string field, string? value)
    {
        if (string.IsNullOrEmpty(value))
            Add(field, "is required");
        else if (value.Length > 254 || !EmailPattern().IsMatch(value))
            Add(field, "must be an e-mail address");
        return value ?? "";
    }

    public string? Password(string field, string? value)
    {
        if (value is not null && value.Length is < 12 or > 256)
            Add(field, "must be 12 to 256 characters");
        return value;
    }

    /// <summary>One of the allowed words; <paramref name="fallback"/> stands for an absent one.</summary>
    [return: NotNullIfNotNull(nameof(fallback))]
    public string? OneOf(string field, string? value, string? fallback, params ReadOnlySpan<string> allowed)
    {
        if (value is null)
        {
            if (fallback is null)
                Add(field, $"is required: {string.Join(", ", allowed.ToArray())}");
            return fallback;
        }
        if (!allowed.Contains(value))
            Add(field, $"must be one of {string.Join(", ", allowed.ToArray())}");
        return value;
    }

    [GeneratedRegex(@"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\z", RegexOptions.CultureInvariant)]
    private static partial Regex NamePattern();

    // Becomes the key id of certificates, a field of logs and a part of paths: nothing that needs quoting there.
    [GeneratedRegex(@"^[A-Za-z0-9.!#$&'*+=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,185}[A-Za-z0-9])?\z", RegexOptions.CultureInvariant)]
    private static partial Regex EmailPattern();
}
