using System.Globalization;
using Relay.Api;

namespace Relay.Silo.Api.Http;

/// <summary>The query string of a list: filters that the endpoint names, and the page. Anything else is refused, never ignored.</summary>
internal sealed class ListQuery
{
    private const int DefaultPageSize = 100;
    private const int MaxPageSize = 500;

    private readonly IQueryCollection _query;

    /// <summary>Its parameters were checked against <see cref="QueryParameters"/> when the request was admitted.</summary>
    /// <exception cref="ApiException">400: a page that makes no sense.</exception>
    public ListQuery(HttpContext http)
    {
        _query = http.Request.Query;
        Size = Number("page_size", DefaultPageSize, MaxPageSize);
        Page = Number("page", 1, int.MaxValue / MaxPageSize);
        Cursor = Text("cursor");
    }

    public int Page { get; }

    public int Size { get; }

    public int Offset => (Page - 1) * Size;

    /// <summary>As handed out; null: from the start.</summary>
    public string? Cursor { get; }

    /// <summary>Null: not given, or empty.</summary>
    public string? Text(string name) => _query.TryGetValue(name, out var value) && value.ToString() is { Length: > 0 } text ? text : null;

    /// <exception cref="ApiException">400: not true or false.</exception>
    public bool? Flag(string name) => Text(name) switch
    {
        null => null,
        "true" => true,
        "false" => false,
        _ => throw Bad(name, "must be true or false"),
    };

    /// <exception cref="ApiException">400: not a time.</exception>
    public DateTimeOffset? Time(string name)
    {
        if (Text(name) is not { } text)
            return null;
        return DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var time)
            ? time
            : throw Bad(name, "must be a date or time such as 2030-01-31 or 2030-01-31T12:00:00Z");
    }

    /// <exception cref="ApiException">400: not one of the words.</exception>
    public string? OneOf(string name, params ReadOnlySpan<string> allowed)
    {
        var text = Text(name);
        return text is null || allowed.Contains(text) ? text : throw Bad(name, $"must be one of {string.Join(", ", allowed.ToArray())}");
    }

    public static ApiException Bad(string name, string message) =>
        new(400, ErrorCodes.BadRequest, $"{name} {message}", [new ApiErrorDetail(name, message)]);

    /// <summary>The answer for one page of numbered pages.</summary>
    public Page<T> ToPage<T>(IReadOnlyList<T> items, long total) => new()
    {
        List = items,
        Pagination = new Pagination
        {
            CurrentPage = Page,
            NextPage = (long)Page * Size < total ? Page + 1 : null,
            TotalRecords = total,
            TotalPages = (int)((total + Size - 1) / Size),
            RecordsPerPage = Size,
        },
    };

    /// <summary>The answer for a page that goes on with a cursor.</summary>
    public Page<T> ToPage<T>(IReadOnlyList<T> items, long total, string? nextCursor) =>
        ToPage(items, total) with { Pagination = ToPage(items, total).Pagination with { NextPage = null, NextCursor = nextCursor } };

    private int Number(string name, int fallback, int max)
    {
        if (Text(name) is not { } text)
            return fallback;
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= 1 && number <= max
            ? number
            : throw Bad(name, $"must be a number from 1 to {max}");
    }
}
