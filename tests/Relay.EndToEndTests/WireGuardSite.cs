using System.Net;
using System.Text.Json;
using Npgsql;
using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary>A grid with two gateways and a connector "site". Made once for all tests of a class; each uses sockets and devices of its own.</summary>
public class WireGuardSite : WireGuardGrid, IAsyncLifetime
{
    /// <summary>The first has the first gateway and the connector, the last the second gateway.</summary>
    protected virtual int Silos => 1;

    public virtual async ValueTask InitializeAsync()
    {
        if (!IsAvailable)
            return;
        await StartAsync(Silos, secondGateway: true, await DatabaseAsync());
        Assert.Equal(PublicKey, (await SecondGateway.Process.WaitForMessageAsync("wireguard ready")).GetProperty("public_key").GetString());
        await Grid.StartConnectorAsync("site");
    }

    /// <summary>The other address of the same socket: both are the start of a range and the socket's number.</summary>
    public static string ToIPv6(string address)
    {
        var bytes = IPAddress.Parse(address).GetAddressBytes();
        return $"fd62:6f72:6465:7231::{(bytes[2] << 8) | bytes[3]:x}";
    }

    /// <summary>The connector's own SSH service.</summary>
    public async Task<string> PublishSshAsync(string name)
    {
        await Grid.RelayAsync("socket", "create", "ssh", "--name", name, "--connector", "site", "--upstream-type", "connector_built_in_ssh_service");
        await AllowAsync(name, OneSilo.EverythingForTheAdministrator);
        return await AddressAsync(name);
    }

    /// <summary>The newest session to a socket, as <c>session show</c> has it, once it is as it should be.</summary>
    public async Task<JsonElement> SessionAsync(string socket, Func<JsonElement, bool> isThere)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(40));
        while (true)
        {
            var list = (await Grid.RelayJsonAsync("session", "ls", "--socket", socket, "--limit", "1")).GetProperty("list");
            if (list.GetArrayLength() > 0 && isThere(list[0]))
                return await Grid.RelayJsonAsync("session", "show", list[0].GetProperty("session_id").GetString()!);
            Assert.False(limit.IsCancellationRequested, $"{list}\n{Grid.Logs()}");
        }
    }

    public Task<JsonElement> EndedAsync(string socket) => SessionAsync(socket, s => s.GetProperty("end_time").ValueKind != JsonValueKind.Null);

    /// <summary>A write as the API makes it, and the version of the organization with it.</summary>
    public async Task WriteAsync(string sql, params (string Name, object Value)[] parameters)
    {
        await using var connection = new NpgsqlConnection(Grid.Database);
        await connection.OpenAsync();
        // Sent at once, so they are one transaction.
        await using var command = new NpgsqlCommand($"{sql}; UPDATE organization SET version = version + 1; SELECT pg_notify('relay_org', organization_id::text) FROM organization", connection);
        foreach (var (name, value) in parameters)
            command.Parameters.AddWithValue(name, value);
        await command.ExecuteNonQueryAsync();
    }

    /// <summary>Npgsql connection string of the site's own database; null: one of the grid's.</summary>
    protected virtual Task<string?> DatabaseAsync() => Task.FromResult<string?>(null);
}
