using System.Net;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Relay.Silo;
using Relay.Silo.Api;
using Relay.Silo.Authorities;
using Relay.Silo.Recordings;
using Relay.Silo.Storage;
using Relay.TestKit;
using Xunit;

namespace Relay.Tests.Silo.Api;

public sealed class StoreOutageTests
{
    [Fact]
    public async Task Without_the_database_the_api_says_so_at_once_and_recovers_with_it()
    {
        var cancel = TestContext.Current.CancellationToken;
        using var state = new TempDir("relay-outage-");
        // The database's account must be able to pass.
        File.SetUnixFileMode(state.Path, (UnixFileMode)0b111_001_001);
        var postgres = await StartAsync();
        await postgres.CreateDatabaseAsync("relay", null, cancel);
        await using var control = await ControlPlane.OpenAsync(
            new ControlPlaneOptions { Database = postgres.ConnectionString("relay"), StateDirectory = state.Path, MasterKeyFile = state.File("master.key") }, NullLoggerFactory.Instance, TimeProvider.System, cancel);
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Services.AddSingleton(TimeProvider.System).AddSingleton<IRecordingReader, FakeRecordings>().AddControlPlane(control).AddRelayApi();
        await using var app = builder.Build();
        app.MapRelayApi();
        await app.StartAsync(cancel);
        var address = new Uri(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single());
        var login = new JsonObject { ["email"] = GridBootstrap.AdministratorEmail, ["password"] = control.FirstPassword };
        var admin = new ApiClient(address, (await new ApiClient(address, null).PostAsync("/login", login)).Json["token"]!.GetValue<string>());
        Assert.Equal(HttpStatusCode.OK, (await admin.GetAsync("/connectors")).Status);

        await postgres.DisposeAsync();
        foreach (var answer in new[] { await admin.GetAsync("/connectors"), await admin.PostAsync("/connectors", new JsonObject { ["name"] = "x" }), await new ApiClient(address, null).PostAsync("/login", login.DeepClone()) })
        {
            Assert.Equal((HttpStatusCode.ServiceUnavailable, "store_unavailable"), (answer.Status, answer.Code));
            Assert.True(answer.Headers.Contains("Retry-After"));
        }
        // A token that is no token needs no database to be refused.
        Assert.Equal(HttpStatusCode.Unauthorized, (await new ApiClient(address, "nonsense").GetAsync("/me")).Status);

        await using var again = await StartAsync();
        await app.Services.GetRequiredService<StoreHealth>().WhenReachableAsync(cancel);
        Assert.Equal(HttpStatusCode.OK, (await admin.GetAsync("/connectors")).Status);

        Task<EmbeddedPostgres> StartAsync() => EmbeddedPostgres.StartAsync(state.File("pg"), durable: false, NullLogger.Instance, TimeProvider.System, cancel);
    }
}
