using System.Security.Cryptography.X509Certificates;
using System.Text;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Relay.Protocol.Hosting;
using Relay.Silo.Authorities;
using Relay.Silo.Grid;
using Relay.Silo.Identity;
using Relay.Silo.Recordings;
using Relay.Silo.Secrets;
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
    private static readonly TimeSpan ShutdownTimeout = TimeSpan.FromSeconds(15);

    private readonly WebApplication _app;
    private readonly RelayDatabase _database;
    private readonly GridAuthorities _authorities;
    private readonly SiloEndpoints _endpoints;

    private SiloHost(WebApplication app, RelayDatabase database, GridAuthorities authorities, SiloEndpoints endpoints)
    {
        _app = app;
        _database = database;
        _authorities = authorities;
        _endpoints = endpoints;
    }

    public IServiceProvider Services => _app.Services;

    /// <summary>Advertised "host:port" of the grid's port.</summary>
    public string GridAddress => _endpoints.Grid;

    /// <summary>Where the API really listens, "http://host:port".</summary>
    public string ApiAddress => _app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single();

    /// <summary>The first administrator's password, when this start set the grid up; null: it was done before.</summary>
    public string? FirstPassword { get; private init; }

    /// <summary>Opens database and keys, starts everything, and returns when the silo serves.</summary>
    /// <param name="configure">Changes services; for tests.</param>
    /// <exception cref="StorageException">Database or keys cannot be used.</exception>
    /// <exception cref="IOException">An address cannot be listened on.</exception>
    public static async Task<SiloHost> StartAsync(SiloOptions options, TimeProvider time, Action<IServiceCollection>? configure, CancellationToken cancellationToken)
    {
        var endpoints = SiloEndpoints.Bind(options);
        RelayDatabase? database = null;
        GridAuthorities? authorities = null;
        WebApplication? app = null;
        try
        {
            var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ApplicationName = "relay-silo" });
            builder.Logging.ClearProviders().AddJsonLines().SetMinimumLevel(options.LogLevel).AddFilter("Microsoft", LogLevel.Warning);
            using var loggers = LoggerFactory.Create(logging => logging.AddJsonLines().SetMinimumLevel(options.LogLevel));
            database = await RelayDatabase.OpenAsync(options.Database, options.StateDirectory, loggers, time, cancellationToken);
            var source = database.DataSource;
            var vault = new SecretVault(await MasterKey.LoadAsync(options.MasterKeyFile, !await GridBootstrap.IsDoneAsync(source, cancellationToken), cancellationToken));
            var passwords = new Passwords();
            var password = await GridBootstrap.RunAsync(source, vault, passwords, options.BootstrapFile, time, cancellationToken);
            authorities = await GridAuthorities.LoadAsync(source, vault, time, cancellationToken);

            var services = builder.Services;
            services.AddSingleton(options);
            services.AddSingleton(endpoints);
            services.AddSingleton(new SiloIdentity(options.Name, endpoints.Grid, Guid.NewGuid()));
            services.AddSingleton(time);
            services.AddSingleton(source);
            services.AddSingleton(vault);
            services.AddSingleton(passwords);
            services.AddSingleton<IAuthorities>(authorities);
            services.AddSingleton<SiloDirectory>();
            services.AddSingleton<TokenStore>();
            services.Configure<HostOptions>(host => host.ShutdownTimeout = ShutdownTimeout);
            // What StartAsync of these does is done before the next one starts; the API's server comes last.
            services.AddSnapshots().AddRecordings().AddSessions().AddGrid();
            configure?.Invoke(services);
            builder.WebHost.ConfigureKestrel(kestrel => ConfigureApi(kestrel, options));

            app = builder.Build();
            app.MapHealth();
            await WriteGatewayTokenAsync(options, endpoints, app.Services, cancellationToken);
            await app.StartAsync(cancellationToken);
            var silo = new SiloHost(app, database, authorities, endpoints) { FirstPassword = password };
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

            authorities?.Dispose();
            if (database is not null)
                await database.DisposeAsync();
            endpoints.Dispose();
            throw;
        }
    }

    /// <summary>Until SIGTERM, SIGINT or a fault; then stops in order.</summary>
    public Task WaitForShutdownAsync(CancellationToken cancellationToken) => _app.WaitForShutdownAsync(cancellationToken);

    public async ValueTask DisposeAsync()
    {
        using (var limit = new CancellationTokenSource(ShutdownTimeout, _app.Services.GetRequiredService<TimeProvider>()))
            await _app.StopAsync(limit.Token);
        await _app.DisposeAsync();
        _authorities.Dispose();
        _endpoints.Dispose();
        await _database.DisposeAsync();
    }

    private static void ConfigureApi(KestrelServerOptions kestrel, SiloOptions options)
    {
        kestrel.AddServerHeader = false;
        kestrel.Listen(options.ApiListen, listen =>
        {
            if (options.ApiTlsCertificateFile is { } certificate)
                listen.UseHttps(X509Certificate2.CreateFromPemFile(certificate, options.ApiTlsKeyFile));
        });
    }

    // The embedded gateway's way in: made once, kept by whoever can read the state folder.
    private static async Task WriteGatewayTokenAsync(SiloOptions options, SiloEndpoints endpoints, IServiceProvider services, CancellationToken cancellationToken)
    {
        var file = Path.Combine(options.StateDirectory, "gateway.token");
        if (File.Exists(file))
            return;
        Directory.CreateDirectory(options.StateDirectory);
        var token = await services.GetRequiredService<TokenStore>().CreateGatewayTokenAsync("embedded", [endpoints.Grid], cancellationToken);
        await PrivateFiles.WriteAsync(file, Encoding.ASCII.GetBytes(token + "\n"), cancellationToken);
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

    [LoggerMessage(4402, LogLevel.Warning, "this ASP.NET Core is older than the first one without known holes in its HTTP server: update the runtime")]
    private static partial void LogOldRuntime(ILogger logger, Version running, Version needed);
#pragma warning restore SYSLIB1015
}
