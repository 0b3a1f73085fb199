using System.Text.Json.Serialization.Metadata;
using Relay.Api;

namespace Relay.Silo.Api.Http;

/// <summary>Maps endpoints with their access rule and their description. Used once, at start.</summary>
internal sealed class ApiRoutesBuilder(IEndpointRouteBuilder routes)
{
    private readonly HashSet<string> _mapped = [];

    /// <summary>Maps one endpoint; the access table must have it.</summary>
    /// <param name="pattern">Below /api/v1.</param>
    /// <param name="id">Operation id in the OpenAPI document.</param>
    /// <param name="summary">One line in the OpenAPI document.</param>
    public RouteHandlerBuilder Map(string method, string pattern, string id, string summary, Delegate handler)
    {
        var rule = new AccessRule(ApiAccess.For(method, pattern));
        _mapped.Add($"{method} {pattern}");
        var builder = routes.MapMethods(ApiRoutes.Base + pattern, [method], handler)
            .WithName(id)
            .WithSummary(summary)
            .WithTags(pattern.Split('/')[1])
            .WithMetadata(rule)
            .Produces<ApiError>(422);
        if (method != "GET")
            builder.AddEndpointFilter(Confirmations.WaitAsync);
        return rule.Roles == Roles.Anyone ? builder : builder.Produces<ApiError>(401).Produces<ApiError>(403);
    }

    /// <exception cref="InvalidOperationException">The access table has entries without an endpoint.</exception>
    public void CheckComplete()
    {
        var missing = ApiAccess.All.Keys.Except(_mapped).ToArray();
        if (missing.Length > 0)
            throw new InvalidOperationException($"in the access table but not mapped: {string.Join(", ", missing)}");
    }
}

/// <summary>Answers in the API's own serialization.</summary>
internal static class Reply
{
    public static IResult Ok<T>(T value, JsonTypeInfo<T> type) => new JsonReply<T>(value, type, 200);

    /// <summary>A write that leaves nothing to show.</summary>
    public static IResult Written() => Ok(new Written(), ApiJson.Default.Written);

    public static IResult WithLocation(IResult result, string location) => new WithHeader(result, "Location", location);

    public static IResult WithETag(this IResult result, long version) => new WithHeader(result, "ETag", $"\"{version}\"");

    /// <summary>412 when the caller wrote against another version than the present one.</summary>
    /// <exception cref="ApiException">412, or 400 for a header that is no ETag of ours.</exception>
    public static void RequireMatch(this HttpContext http, long version)
    {
        var header = http.Request.Headers.IfMatch.ToString();
        if (header.Length == 0 || header == "*" || header == $"\"{version}\"")
            return;
        throw new ApiException(412, ErrorCodes.PreconditionFailed, $"it was changed meanwhile: the present version is {version}, read it again");
    }

    private sealed class WithHeader(IResult inner, string name, string value) : IResult
    {
        public Task ExecuteAsync(HttpContext httpContext)
        {
            httpContext.Response.Headers[name] = value;
            return inner.ExecuteAsync(httpContext);
        }
    }
}
