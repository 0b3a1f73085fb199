using Microsoft.Extensions.Logging.Abstractions;
using Relay.Silo.Storage;

namespace Relay.TestKit;

/// <summary>
/// The one private PostgreSQL of a test process, started when the first test wants it. As an assembly fixture it goes
/// before the test program ends: a folder of a hundred databases is not gone in a moment.
/// </summary>
public sealed class PostgresServer : IDisposable
{
    private static readonly Lazy<Task<EmbeddedPostgres>> Server = new(StartAsync);
    private static readonly string Folder = Path.Combine("/tmp", $"relay-test-{Environment.ProcessId}-{Guid.NewGuid().ToString("N")[..6]}");

    internal static Task<EmbeddedPostgres> Current => Server.Value;

    /// <inheritdoc/>
    public void Dispose() => Stop();

    /// <summary>Ends it and removes its folder; does nothing when none was started.</summary>
    public static void Stop()
    {
        if (!Server.IsValueCreated || !Server.Value.IsCompletedSuccessfully)
            return;
        Server.Value.Result.Kill();
        try
        {
            if (Directory.Exists(Folder))
                Directory.Delete(Folder, recursive: true);
        }
        catch (IOException)
        {
            // A backend may take a moment to notice that its server is gone; the folder is in /tmp.
        }
    }

    private static async Task<EmbeddedPostgres> StartAsync()
    {
        var server = await EmbeddedPostgres.StartAsync(Folder, durable: false, NullLogger.Instance, TimeProvider.System, CancellationToken.None);
        // For a test program that ends without its fixtures.
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Stop();
        await server.CreateDatabaseAsync("relay_template", null, CancellationToken.None);
        // CREATE DATABASE … TEMPLATE needs a template nobody is connected to.
        await using var template = RelayDatabase.CreateDataSource(server.ConnectionString("relay_template") + ";Pooling=false");
        await Migrations.ApplyAsync(template, NullLogger.Instance, CancellationToken.None);
        return server;
    }
}
