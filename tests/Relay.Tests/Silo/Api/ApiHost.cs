using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Headers;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Relay.Silo;
using Relay.Silo.Api;
using Relay.Silo.Authorities;
using Relay.Silo.Recordings;
using Relay.TestKit;

namespace Relay.Tests.Silo.Api;

/// <summary>The API on a real Kestrel and a real PostgreSQL of its own, with everything it logs.</summary>
public sealed class ApiHost : IDisposable
{
    private readonly string _state = Directory.CreateTempSubdirectory("relay-api-").FullName;
    private readonly PrivatePostgres _database = new();
    private readonly ControlPlane _control;
    private readonly WebApplication _app;
    private int _count;

    public ApiHost()
    {
        (_control, _app, Admin) = Task.Run(StartAsync).GetAwaiter().GetResult();
    }

    /// <summary>Logged in as the first administrator.</summary>
    internal ApiClient Admin { get; }

    internal string AdminPassword => _control.FirstPassword!;

    internal PrivatePostgres Database => _database;

    internal ControlPlane Control => _control;

    internal IServiceProvider Services => _app.Services;

    internal CapturedLog Log { get; } = new();

    internal FakeRecordings Recordings { get; } = new();

    internal Uri Address { get; private set; } = null!;

    internal string Unique(string prefix) => $"{prefix}-{Interlocked.Increment(ref _count)}";

    internal ApiClient Anonymous() => new(Address, null);

    internal async Task<ApiClient> LoginAsync(string email, string password)
    {
        var answer = await Anonymous().PostAsync("/login", new JsonObject { ["email"] = email, ["password"] = password });
        return new ApiClient(Address, answer.Json["token"]!.GetValue<string>()) { UserId = answer.Json["me"]!["user_id"]!.GetValue<Guid>(), Email = email };
    }

    /// <summary>A new user of that role, logged in.</summary>
    internal async Task<ApiClient> UserAsync(string role)
    {
        var email = $"{Unique(role.Replace("_", "", StringComparison.Ordinal))}@example.test";
        var created = await Admin.PostAsync("/users", new JsonObject { ["email"] = email, ["role"] = role, ["password"] = "correct horse battery" });
        Xunit.Assert.Equal(HttpStatusCode.Created, created.Status);
        return await LoginAsync(email, "correct horse battery");
    }

    public void Dispose()
    {
        Task.Run(async () =>
        {
            await _app.DisposeAsync();
            await _control.DisposeAsync();
            await _database.DisposeAsync();
        }).GetAwaiter().GetResult();
        Directory.Delete(_state, recursive: true);
    }

    private async Task<(ControlPlane, WebApplication, ApiClient)> StartAsync()
    {
        var control = await ControlPlane.OpenAsync(
            new ControlPlaneOptions { Database = _database.ConnectionString, StateDirectory = _state, MasterKeyFile = Path.Combine(_state, "master.key") },
            LoggerFactory.Create(b => b.AddProvider(Log)), TimeProvider.System, CancellationToken.None);
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders().AddProvider(Log).SetMinimumLevel(LogLevel.Trace);
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Services.AddSingleton(TimeProvider.System).AddSingleton<IRecordingReader>(Recordings).AddControlPlane(control).AddRelayApi();
        var app = builder.Build();
        app.MapRelayApi();
        await app.StartAsync();
        Address = new Uri(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single());
        return (control, app, await LoginAsync(GridBootstrap.AdministratorEmail, control.FirstPassword!));
    }
}

/// <summary>One answer, read whole.</summary>
internal sealed record ApiAnswer(HttpStatusCode Status, string Body, HttpResponseHeaders Headers)
{
    public JsonNode Json => JsonNode.Parse(Body)!;

    public string? Code => Json["code"]?.GetValue<string>();

    public string[] Fields => [.. Json["details"]!.AsArray().Select(d => d!["field"]!.GetValue<string>()).Order(StringComparer.Ordinal)];

    public string? ETag => Headers.TryGetValues("ETag", out var values) ? values.Single() : null;
}

/// <summary>A caller of the API.</summary>
internal sealed class ApiClient(Uri address, string? token)
{
    private static readonly HttpClient Http = new(new SocketsHttpHandler { MaxConnectionsPerServer = 64 });

    public Guid UserId { get; init; }

    public string Email { get; init; } = "";

    public string? Token => token;

    public Task<ApiAnswer> GetAsync(string path) => SendAsync("GET", path, null);

    public Task<ApiAnswer> PostAsync(string path, JsonNode? body = null) => SendAsync("POST", path, body?.ToJsonString());

    public Task<ApiAnswer> PatchAsync(string path, JsonNode body, string? ifMatch = null) => SendAsync("PATCH", path, body.ToJsonString(), ifMatch);

    public Task<ApiAnswer> PutAsync(string path, JsonNode? body = null) => SendAsync("PUT", path, body?.ToJsonString());

    public Task<ApiAnswer> DeleteAsync(string path, string? ifMatch = null) => SendAsync("DELETE", path, null, ifMatch);

    public async Task<ApiAnswer> SendAsync(string method, string path, string? body, string? ifMatch = null, string contentType = "application/json")
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), new Uri(address, "/api/v1" + path));
        if (token is not null)
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
        if (ifMatch is not null)
            request.Headers.TryAddWithoutValidation("If-Match", ifMatch);
        if (body is not null)
            request.Content = new StringContent(body, Encoding.UTF8, new MediaTypeHeaderValue(contentType));
        using var response = await Http.SendAsync(request, Xunit.TestContext.Current.CancellationToken);
        return new ApiAnswer(response.StatusCode, await response.Content.ReadAsStringAsync(Xunit.TestContext.Current.CancellationToken), response.Headers);
    }
}

/// <summary>Everything that was logged, as text.</summary>
internal sealed class CapturedLog : ILoggerProvider
{
    private readonly ConcurrentQueue<string> _lines = new();

    public string Text => string.Join('\n', _lines);

    public ILogger CreateLogger(string categoryName) => new Logger(categoryName, _lines);

    public void Dispose()
    {
    }

    private sealed class Logger(string category, ConcurrentQueue<string> lines) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            lines.Enqueue($"{logLevel} {category} {formatter(state, exception)} {exception}");
    }
}

/// <summary>Recordings that a test puts there.</summary>
internal sealed class FakeRecordings : IRecordingReader
{
    public Dictionary<(Guid Session, int No), string[]> Content { get; } = [];

    public async IAsyncEnumerable<ReadOnlyMemory<byte>> ReadAsync(Guid sessionId, int recording, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (!Content.TryGetValue((sessionId, recording), out var lines))
            throw new RecordingNotFoundException(sessionId, recording);
        foreach (var line in lines)
        {
            await Task.Yield();
            yield return Encoding.UTF8.GetBytes(line + "\n");
        }
    }
}
