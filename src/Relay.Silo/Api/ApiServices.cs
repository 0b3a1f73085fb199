using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.OpenApi;
using Relay.Api;
using Relay.Silo.Api.Http;
using Relay.Silo.Api.Resources;
using Relay.Silo.Devices;
using Relay.Silo.Snapshots;

namespace Relay.Silo.Api;

/// <summary>Composition of the REST API. Needs <see cref="ControlPlaneServices.AddControlPlane"/> and an <see cref="Recordings.IRecordingReader"/>.</summary>
internal static class ApiServices
{
    public static IServiceCollection AddRelayApi(this IServiceCollection services)
    {
        services.TryAddSingleton<DatabaseSignals>();
        services.TryAddSingleton<GridConfirmation>();
        services.TryAddSingleton(DeviceNetwork.Default);
        services.AddSingleton<LoginApi>().AddSingleton<UsersApi>().AddSingleton<SshKeysApi>().AddSingleton<GroupsApi>()
            .AddSingleton<ConnectorsApi>().AddSingleton<TokensApi>().AddSingleton<SocketsApi>().AddSingleton<PoliciesApi>()
            .AddSingleton<PolicyTestApi>().AddSingleton<AttachmentsApi>().AddSingleton<SessionsApi>().AddSingleton<RecordingsApi>()
            .AddSingleton<AuditApi>().AddSingleton<OrganizationApi>().AddSingleton<ClientApi>().AddSingleton<DevicesApi>();
        // The document describes what the serializer writes.
        services.ConfigureHttpJsonOptions(json =>
        {
            json.SerializerOptions.PropertyNamingPolicy = ApiJson.Default.Options.PropertyNamingPolicy;
            json.SerializerOptions.TypeInfoResolverChain.Insert(0, ApiJson.Default);
        });
        services.AddOpenApi("v1", openApi => openApi.AddOperationTransformer(QueryParameters.DescribeAsync).AddDocumentTransformer((document, _, _) =>
        {
            document.Info = new OpenApiInfo { Title = "Relay", Version = "v1", Description = "Administration of a Relay grid. Every refusal has the body ApiError." };
            document.Servers = [];
            document.Components ??= new OpenApiComponents();
            document.Components.SecuritySchemes = new Dictionary<string, IOpenApiSecurityScheme>
            {
                ["bearer"] = new OpenApiSecurityScheme { Type = SecuritySchemeType.Http, Scheme = "bearer", BearerFormat = "JWT", Description = "Token of POST /api/v1/login" },
            };
            document.Security = [new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference("bearer", document)] = [] }];
            return Task.CompletedTask;
        }));
        return services;
    }

    /// <summary>Maps /api/v1 with its OpenAPI document. Call before other endpoints' middleware.</summary>
    public static WebApplication MapRelayApi(this WebApplication app)
    {
        app.UseMiddleware<RequestGate>();
        var routes = new ApiRoutesBuilder(app);
        LoginApi.Map(routes);
        OrganizationApi.Map(routes);
        UsersApi.Map(routes);
        SshKeysApi.Map(routes);
        GroupsApi.Map(routes);
        DevicesApi.Map(routes);
        ConnectorsApi.Map(routes);
        TokensApi.Map(routes);
        SocketsApi.Map(routes);
        PoliciesApi.Map(routes);
        PolicyTestApi.Map(routes);
        AttachmentsApi.Map(routes);
        SessionsApi.Map(routes);
        RecordingsApi.Map(routes);
        AuditApi.Map(routes);
        ClientApi.Map(routes);
        routes.CheckComplete();
        app.MapOpenApi("/api/{documentName}/openapi.json");
        return app;
    }
}
