using System.Text.Json.Nodes;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;
using Relay.Api;

namespace Relay.Silo.Api.Http;

/// <summary>Endpoint metadata: the query parameters it knows. An endpoint without it knows none.</summary>
internal sealed record QueryParameters(IReadOnlyList<string> Filters, bool Cursor)
{
    private static readonly QueryParameters None = new([], false) { Paging = [] };

    /// <summary>How a caller goes through the list.</summary>
    public IReadOnlyList<string> Paging { get; private init; } = Cursor ? ["cursor", "page_size"] : ["page", "page_size"];

    /// <exception cref="ApiException">400 with every parameter that is unknown or given twice: never ignored.</exception>
    public static void Check(HttpContext http)
    {
        if (http.Request.Query.Count == 0)
            return;
        var known = http.GetEndpoint()?.Metadata.GetMetadata<QueryParameters>() ?? None;
        var details = new List<ApiErrorDetail>();
        foreach (var (name, values) in http.Request.Query)
        {
            if (!known.Filters.Contains(name) && !known.Paging.Contains(name))
                details.Add(new ApiErrorDetail(ApiException.Printable(name), $"is not a filter here; there are: {string.Join(", ", [.. known.Filters, .. known.Paging])}"));
            else if (values.Count != 1)
                details.Add(new ApiErrorDetail(name, "is given twice"));
            else if (values[0]!.Contains('\0', StringComparison.Ordinal))
                throw ListQuery.Bad(name, "contains a NUL character");
        }
        if (details.Count > 0)
            throw new ApiException(400, ErrorCodes.UnknownFilter, $"unknown filter: {string.Join(", ", details.Select(d => d.Field))}", details);
    }

    /// <summary>Writes the parameters into the OpenAPI document.</summary>
    public static Task DescribeAsync(OpenApiOperation operation, OpenApiOperationTransformerContext context, CancellationToken cancellationToken)
    {
        var metadata = context.Description.ActionDescriptor.EndpointMetadata;
        if (metadata.OfType<AccessRule>().FirstOrDefault()?.Roles == Roles.Anyone)
            operation.Security = [];
        foreach (var parameters in metadata.OfType<QueryParameters>())
        {
            operation.Parameters ??= [];
            foreach (var name in parameters.Filters.Concat(parameters.Paging))
                operation.Parameters.Add(new OpenApiParameter { Name = name, In = ParameterLocation.Query, Schema = Schema(name) });
        }
        return Task.CompletedTask;
    }

    private static OpenApiSchema Schema(string name) => name switch
    {
        "page" => new OpenApiSchema { Type = JsonSchemaType.Integer, Minimum = "1", Default = JsonValue.Create(1) },
        "page_size" => new OpenApiSchema { Type = JsonSchemaType.Integer, Minimum = "1", Maximum = "500", Default = JsonValue.Create(100) },
        "live" or "org_wide" => new OpenApiSchema { Type = JsonSchemaType.Boolean },
        "from" or "to" => new OpenApiSchema { Type = JsonSchemaType.String, Format = "date-time" },
        _ => new OpenApiSchema { Type = JsonSchemaType.String },
    };
}

/// <summary>Declares query parameters where endpoints are mapped.</summary>
internal static class QueryParametersExtensions
{
    /// <summary>A list in numbered pages.</summary>
    public static RouteHandlerBuilder WithPages(this RouteHandlerBuilder builder, params string[] filters) => builder.WithMetadata(new QueryParameters(filters, false));

    /// <summary>A list that goes on with a cursor.</summary>
    public static RouteHandlerBuilder WithCursor(this RouteHandlerBuilder builder, params string[] filters) => builder.WithMetadata(new QueryParameters(filters, true));
}
