using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;

namespace Relay.Gateway.Hosting;

/// <summary>
/// Plain HTTP for the machine's own eyes: /healthz (the process runs), /readyz (users can log in; 503 otherwise) and /metrics.
/// Caller disposes.
/// </summary>
internal sealed class HealthListener : IAsyncDisposable
{
    private readonly WebApplication _application;

    private HealthListener(WebApplication application) => _application = application;

    /// <summary>"http://host:port" as bound.</summary>
    public string Address => _application.Urls.First();

    public static async Task<HealthListener> StartAsync(string listen, GatewayRuntime gateway, CancellationToken cancellationToken)
    {
        _ = GatewayOptionsReader.TryParseEndPoint(listen, out var endPoint);
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = 0;
            kestrel.Listen(endPoint!, listener => listener.Protocols = HttpProtocols.Http1);
        });
        var application = builder.Build();
        application.Run(context => AnswerAsync(context, gateway));
        await application.StartAsync(cancellationToken);
        return new HealthListener(application);
    }

    public ValueTask DisposeAsync() => _application.DisposeAsync();

    private static Task AnswerAsync(HttpContext context, GatewayRuntime gateway)
    {
        context.Response.ContentType = "text/plain; charset=utf-8";
        switch (context.Request.Path.Value)
        {
            case "/healthz":
                return context.Response.WriteAsync("ok\n");
            case "/readyz":
                context.Response.StatusCode = gateway.IsReady ? 200 : 503;
                return context.Response.WriteAsync(gateway.IsReady ? "ready\n" : "not ready: no silo can be asked, or the gateway is going down\n");
            case "/metrics":
                context.Response.ContentType = "text/plain; version=0.0.4; charset=utf-8";
                return context.Response.WriteAsync(gateway.Metrics.Render());
            default:
                context.Response.StatusCode = 404;
                return context.Response.WriteAsync("not found\n");
        }
    }
}
