using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Relay.Api;
using Relay.Silo.Api.Http;
using Relay.Silo.Storage;

namespace Relay.Silo.Hosting;

/// <summary>
/// A silo that is started again while the store is away. With a last snapshot on its disk it starts read-only from that; without one
/// that can be used it says so on /health, refuses everything else, and goes on to start when the store is back.
/// </summary>
internal static partial class StoreWait
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    /// <summary>Opens the control plane, however long the store is away. A silo that has never started before does not wait.</summary>
    /// <param name="open">Opens it once.</param>
    /// <param name="fromDisk">Opens it without the store; null: there is nothing to start from.</param>
    /// <param name="configureApi">The API's listener.</param>
    /// <exception cref="StorageException">It cannot be opened, and not because the store is away; or this is the first start.</exception>
    /// <exception cref="OperationCanceledException">The process is to end.</exception>
    public static async Task<ControlPlane> OpenAsync(
        Func<CancellationToken, Task<ControlPlane>> open, Func<CancellationToken, Task<ControlPlane?>> fromDisk, SiloOptions options, Action<KestrelServerOptions> configureApi, Action<ILoggingBuilder> configureLogging, TimeProvider time, CancellationToken cancellationToken)
    {
        try
        {
            return await open(cancellationToken);
        }
        catch (Exception e) when (IsAway(e))
        {
            if (options.Database is null || !Directory.Exists(options.SpoolDirectory))
                throw e as StorageException ?? new StorageException($"cannot use the database: {e.Message}", e);
        }

        if (await fromDisk(cancellationToken) is { } readOnly)
            return readOnly;
        var since = time.GetUtcNow();
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ApplicationName = "relay-silo" });
        configureLogging(builder.Logging);
        builder.WebHost.UseKestrel(configureApi);
        await using var app = builder.Build();
        app.Run(http => AnswerAsync(http, options.Name, since));
        await app.StartAsync(cancellationToken);
        var logger = app.Services.GetRequiredService<ILoggerFactory>().CreateLogger(typeof(StoreWait).FullName!);
        LogWaiting(logger, options.Name);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, app.Lifetime.ApplicationStopping);
        try
        {
            while (true)
            {
                await Task.Delay(Interval, time, stop.Token);
                try
                {
                    var control = await open(stop.Token);
                    LogBack(logger);
                    return control;
                }
                catch (Exception e) when (IsAway(e))
                {
                    LogStillAway(logger, e.Message);
                }
            }
        }
        finally
        {
            // The address is needed for the API itself.
            await app.StopAsync(CancellationToken.None);
        }
    }

    private static bool IsAway(Exception e) => StoreErrors.IsOutage(e) || e is StorageException { InnerException: { } inner } && StoreErrors.IsOutage(inner);

    private static Task AnswerAsync(HttpContext http, string name, DateTimeOffset since)
    {
        http.Response.Headers.CacheControl = "no-store";
        var status = $"read-only: started without the store at {since.UtcDateTime:yyyy-MM-dd HH:mm:ss} UTC; joins the grid when the database is back";
        switch (http.Request.Path.Value)
        {
            case "/healthz":
                return http.Response.WriteAsync("ok\n");
            case "/health":
                return http.Response.WriteAsJsonAsync(new WaitingHealth(status, name, new StoreReach(false, since)), HealthJson.Default.WaitingHealth);
            case "/readyz":
                http.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
                return http.Response.WriteAsync(status + "\n");
            default:
                http.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
                http.Response.Headers.RetryAfter = "5";
                return http.Response.WriteAsJsonAsync(
                    new ApiError
                    {
                        ErrorMessage = "the database cannot be reached, and this silo was started without it: try again when it is back, or ask another silo",
                        StatusCode = StatusCodes.Status503ServiceUnavailable,
                        Code = ErrorCodes.StoreUnavailable,
                        RequestId = http.TraceIdentifier,
                        Details = [],
                    },
                    ApiJson.Default.ApiError);
        }
    }

    [LoggerMessage(4403, LogLevel.Warning, "started without the store: {Silo} waits for it, says so on /health, and joins when it is back")]
    private static partial void LogWaiting(ILogger logger, string silo);

    [LoggerMessage(4404, LogLevel.Debug, "the store is still away: {Reason}")]
    private static partial void LogStillAway(ILogger logger, string reason);

    [LoggerMessage(4405, LogLevel.Information, "the store is there: the silo joins")]
    private static partial void LogBack(ILogger logger);
}

/// <summary>The answer of /health before the store was there.</summary>
internal sealed record WaitingHealth(string Status, string Silo, StoreReach Store);
