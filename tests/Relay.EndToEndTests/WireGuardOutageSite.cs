using System.Text.Json;
using Relay.TestKit;
using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary>As <see cref="WireGuardSite"/> with a PostgreSQL that can be stopped and two silos: the second gateway's flows go through both.</summary>
public sealed class WireGuardOutageSite : WireGuardSite
{
    public OwnPostgres Postgres { get; private set; } = null!;

    protected override int Silos => 2;

    /// <summary>Every silo is whole and has delivered what it kept while it could not.</summary>
    public Task DeliveredAsync() => Eventually.TrueAsync(
        async () =>
        {
            foreach (var silo in Grid.Silos)
            {
                var answer = await Core.RunAsync("curl", "-s", $"{silo.Api}/health");
                using var health = JsonDocument.Parse(answer.Text);
                var root = health.RootElement;
                if (root.GetProperty("status").GetString() != "ok" || !root.GetProperty("store").GetProperty("reachable").GetBoolean()
                    || root.GetProperty("spool").GetProperty("records").GetInt64() + root.GetProperty("spool").GetProperty("parked").GetInt64() > 0)
                    return false;
            }

            return true;
        },
        "every silo has delivered");

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        if (Postgres is not null)
            await Postgres.DisposeAsync();
    }

    protected override async Task<string?> DatabaseAsync()
    {
        Postgres = await OwnPostgres.StartAsync();
        return Postgres.LocalConnectionString;
    }
}
