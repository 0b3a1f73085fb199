using System.Runtime.CompilerServices;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Relay.Protocol.Hosting;
using Relay.Silo.Api;
using Relay.Silo.Connectors;
using Relay.Silo.Devices;
using Relay.Silo.GrainHosting;
using Relay.Silo.Fencing;
using Relay.Silo.Grid;
using Relay.Silo.History;
using Relay.Silo.LocalSnapshots;
using Relay.Silo.Recordings;
using Relay.Silo.Sessions;
using Relay.Silo.Snapshots;
using Relay.Silo.Storage;

namespace Relay.Silo.Hosting;

/// <summary>
/// One silo in this process: what is opened before there is a service container, the container, and the order in which things start.
/// They stop in reverse: API, connectors, grid, sessions, snapshots, database. Caller disposes.
/// </summary>
internal sealed partial class SiloHost : IAsyncDisposable
{
    // After the drain, for the rest.
    private static readonly TimeSpan ShutdownTimeout = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan s_pauseBeforeNext = TimeSpan.FromMilliseconds(250);

    private readonly WebApplication _app;
    private readonly ControlPlane _control;
    private readonly SiloEndpoints _endpoints;
    private int _disposed;

    private SiloHost(WebApplication app, ControlPlane control, SiloEndpoints endpoints, string? firstPassword)
    {
        _app = app;
        _control = control;
        _endpoints = endpoints;
        FirstPassword = firstPassword;
    }

    public IServiceProvider Services => _app.Services;

    /// <summary>Advertised "host:port" of the grid's port.</summary>
    public string GridAddress => _endpoints.Grid;

    /// <summary>Where the API really listens, "http://host:port".</summary>
    public string ApiAddress => _app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single();

    /// <summary>The first administrator's password, when this start set the grid up; null: it was done before.</summary>
    public string? FirstPassword { get; }

    /// <summary>
    /// Opens database and keys, starts everything, and returns when the silo serves. A store that is lost meanwhile has it start anew, as one
    /// that is started without it.
    /// </summary>
    /// <param name="configure">Changes services; for tests.</param>
    /// <exception cref="StorageException">Database or keys cannot be used.</exception>
    /// <exception cref="IOException">An address cannot be listened on.</exception>
    /// <exception cref="OperationCanceledException">The process was told to end while it waited for the store.</exception>
    public static async Task<SiloHost> StartAsync(SiloOptions options, TimeProvider time, Action<IServiceCollection>? configure, CancellationToken cancellationToken)
    {
        // Shown by the start that succeeds.
        var firstPassword = new StrongBox<string?>();
        while (true)
        {
            try
            {
                return await StartOnceAsync(options, time, configure, firstPassword, cancellationToken);
            }
            catch (Exception e) when (StoreErrors.IsOutage(e) && !cancellationToken.IsCancellationRequested)
            {
                using (var loggers = LoggerFactory.Create(logging => ConfigureLogging(logging, options)))
                    LogStartsAnew(loggers.CreateLogger<SiloHost>(), e.Message);
                await Task.Delay(s_pauseBeforeNext, time, cancellationToken);
            }
        }
    }

    private static async Task<SiloHost> StartOnceAsync(
        SiloOptions options, TimeProvider time, Action<IServiceCollection>? configure, StrongBox<string?> firstPassword, CancellationToken cancellationToken)
    {
        var endpoints = SiloEndpoints.Bind(options);
        ControlPlane? control = null;
        WebApplication? app = null;
        try
        {
            using (var loggers = LoggerFactory.Create(logging => ConfigureLogging(logging, options)))
            {
                control = await StoreWait.OpenAsync(
                    cancellation => ControlPlane.OpenAsync(ControlPlaneOptions(options), loggers, time, cancellation),
                    cancellation => StartFromDisk.TryOpenAsync(options, loggers.CreateLogger(typeof(StartFromDisk).FullName!), time, cancellation),
                    options, kestrel => ConfigureApi(kestrel, options), logging => ConfigureLogging(logging, options), time, cancellationToken);
            }

            firstPassword.Value ??= control.FirstPassword;
            app = Build(options, endpoints, control, time, configure);
            if (!control.Start.IsActive)
                await control.WriteGatewayTokenAsync(Path.Combine(options.StateDirectory, "gateway.token"), endpoints.Grid, cancellationToken);
            await app.StartAsync(cancellationToken);
            var silo = new SiloHost(app, control, endpoints, firstPassword.Value);
            silo.ReportReady();
            return silo;
        }
        catch
        {
            if (app is not null)
            {
                // What had started already must not run on while the rest is taken away.
                using var limit = new CancellationTokenSource(ShutdownTimeout, time);
                await app.StopAsync(limit.Token);
                await app.DisposeAsync();
            }

            if (control is not null)
                await control.DisposeAsync();
            endpoints.Dispose();
            throw;
        }
    }

    /// <summary>Ends a drain that is under way, or to come, at once.</summary>
    public void EndNow() => _app.Services.GetRequiredService<DrainState>().EndNow();

    /// <summary>Until SIGTERM, SIGINT or a fault; then stops in order.</summary>
    public Task WaitForShutdownAsync(CancellationToken cancellationToken) => _app.WaitForShutdownAsync(cancellationToken);

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        var drain = _app.Services.GetRequiredService<SiloOptions>().DrainTime;
        using (var limit = new CancellationTokenSource(drain + ShutdownTimeout, _app.Services.GetRequiredService<TimeProvider>()))
            await _app.StopAsync(limit.Token);
        await _app.DisposeAsync();
        _endpoints.Dispose();
        await _control.DisposeAsync();
    }

    private static WebApplication Build(SiloOptions options, SiloEndpoints endpoints, ControlPlane control, TimeProvider time, Action<IServiceCollection>? configure)
    {
        // Empty: no appsettings.json of the current folder and no ASPNETCORE_ variable may add a listener or change a limit.
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ApplicationName = "relay-silo" });
        ConfigureLogging(builder.Logging, options);
        builder.WebHost.UseKestrel(kestrel => ConfigureApi(kestrel, options));
        builder.Services.AddRouting();
        builder.Services.AddSingleton(options);
        builder.Services.AddSingleton(options.Network);
        builder.Services.AddSingleton(endpoints);
        builder.Services.AddSingleton<DrainState>();
        builder.Services.AddSingleton(time);
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = options.DrainTime + ShutdownTimeout);

        // Each is started when the one before it serves; the API's own server comes last.
        builder.Services.AddControlPlane(control);
        builder.Services.AddNetworkAgreement();
        builder.AddGrains(options, endpoints);
        builder.Services
            .AddFencing()
            .AddSnapshots()
            .AddLocalSnapshots(options)
            .AddHistory(options)
            .AddRecordings()
            .AddSessions()
            .AddDevices()
            .AddGrid()
            .AddConnectors()
            .AddRelayApi()
            .AddHostedService<SiloDrain>()
            .AddHostedService<StoreReturn>();
        configure?.Invoke(builder.Services);

        var app = builder.Build();
        app.MapHealth();
        app.MapRelayApi();
        return app;
    }

    private static void ConfigureLogging(ILoggingBuilder logging, SiloOptions options) =>
        logging.AddJsonLines().SetMinimumLevel(options.LogLevel).AddFilter("Microsoft", LogLevel.Warning);

    private static ControlPlaneOptions ControlPlaneOptions(SiloOptions options) => new()
    {
        Database = options.Database,
        StateDirectory = options.StateDirectory,
        MasterKeyFile = options.MasterKeyFile,
        BootstrapFile = options.BootstrapFile,
    };

    private static void ConfigureApi(KestrelServerOptions kestrel, SiloOptions options)
    {
        kestrel.AddServerHeader = false;
        kestrel.Listen(options.ApiListen, listen =>
        {
            if (options.ApiTlsCertificateFile is { } certificate)
                listen.UseHttps(X509Certificate2.CreateFromPemFile(certificate, options.ApiTlsKeyFile));
        });
    }

    private void ReportReady()
    {
        var logger = _app.Services.GetRequiredService<ILogger<SiloHost>>();
        var runtime = RuntimeVersion.AspNetCore();
        if (runtime < RuntimeVersion.Safe)
            LogOldRuntime(logger, runtime, RuntimeVersion.Safe);
        LogReady(logger, ApiAddress, _endpoints.Grid, _endpoints.Connectors, _app.Services.GetRequiredService<SiloIdentity>().Name);
    }

#pragma warning disable SYSLIB1015 // The rest are fields of the line, not words of the message.
    [LoggerMessage(4401, LogLevel.Information, "silo ready")]
    private static partial void LogReady(ILogger logger, string api, string grid, string connectors, string name);

    [LoggerMessage(4412, LogLevel.Warning, "the store was lost while the silo started; it starts anew: {Reason}")]
    private static partial void LogStartsAnew(ILogger logger, string reason);

    [LoggerMessage(4402, LogLevel.Warning, "this ASP.NET Core is older than the first one without known holes in its HTTP server: update the runtime")]
    private static partial void LogOldRuntime(ILogger logger, Version running, Version needed);
#pragma warning restore SYSLIB1015
}
