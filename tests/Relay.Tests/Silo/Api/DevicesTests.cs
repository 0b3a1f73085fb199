using System.Net;
using System.Text.Json.Nodes;
using Dapper;
using Relay.Protocol.WireGuard;
using Relay.Silo.Storage;
using Xunit;

namespace Relay.Tests.Silo.Api;

/// <summary>WireGuard devices: whose, with which key and address, and for how long.</summary>
public sealed class DevicesTests(ApiHost host) : IClassFixture<ApiHost>
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_device_is_made_shown_renamed_and_revoked_by_its_user_and_its_answer_is_a_whole_configuration()
    {
        var directory = new SiloDirectory(host.Database.DataSource, (StoreHealth)host.Services.GetService(typeof(StoreHealth))!);
        await directory.GatewaySeenAsync("gw-wg", "gw.example.test:2222", "gw.example.test:32442", 1380, "0.1.0", "silo:7443", Cancel);
        await directory.GatewaySeenAsync("gw-plain", "other.example.test:2222", "", 0, "0.1.0", "silo:7443", Cancel);
        var user = await host.UserAsync("client");
        var key = Key();
        var created = await user.PostAsync("/devices", new JsonObject { ["name"] = "Laptop", ["public_key"] = key, ["preshared_key"] = Key() });
        Assert.Equal(HttpStatusCode.Created, created.Status);
        Assert.Equal((key, "Laptop", user.Email, true), (created.Json["public_key"]!.GetValue<string>(), created.Json["name"]!.GetValue<string>(), created.Json["user"]!["name"]!.GetValue<string>(), created.Json["preshared_key"]!["set"]!.GetValue<bool>()));
        var configuration = created.Json["configuration"]!;
        Assert.Equal(host.Control.Authorities.WireGuardPublicKey.ToString(), configuration["public_key"]!.GetValue<string>());
        Assert.Equal("""[{"name":"gw-wg","address":"gw.example.test:32442"}]""", configuration["gateways"]!.ToJsonString());
        Assert.Equal("""["100.126.0.0/16","fd62:6f72:6465:7231::/64","100.124.100.100/32","fd62:6f72:6465:7230::6464/128"]""", configuration["allowed_ips"]!.ToJsonString());
        Assert.Equal("""["100.124.100.100","fd62:6f72:6465:7230::6464"]""", configuration["dns"]!.ToJsonString());
        Assert.Equal(("relay", 1380, 25), (configuration["dns_suffix"]!.GetValue<string>(), configuration["mtu"]!.GetValue<int>(), configuration["persistent_keepalive_seconds"]!.GetValue<int>()));
        Assert.Matches("""^\["100\.124\.\d+\.\d+/32","fd62:6f72:6465:7230::[0-9a-f]+/128"\]$""", configuration["addresses"]!.ToJsonString());

        var id = created.Json["device_id"]!.GetValue<Guid>();
        await using (var connection = await host.Database.DataSource.OpenConnectionAsync(Cancel))
            await connection.ExecuteAsync("INSERT INTO device_status VALUES (@id, '2030-01-02T03:04:05Z', '198.51.100.7:5555', 'gw-wg', 11, 22)", new { id });
        Assert.Equal("phone", (await user.PatchAsync("/devices/laptop", new JsonObject { ["name"] = "phone" })).Json["name"]!.GetValue<string>());
        var shown = await user.GetAsync("/devices/phone");
        Assert.Equal("""{"last_handshake_at":"2030-01-02T03:04:05+00:00","endpoint":"198.51.100.7:5555","gateway":"gw-wg","bytes_up":11,"bytes_down":22}""", shown.Json["status"]!.ToJsonString().Replace("\\u002B", "+", StringComparison.Ordinal));

        // Its key is never anybody's again, its name is free, its address is kept.
        Assert.Equal(HttpStatusCode.OK, (await user.DeleteAsync("/devices/phone")).Status);
        Assert.Equal(HttpStatusCode.NotFound, (await user.GetAsync($"/devices/{id}")).Status);
        var again = await host.Admin.PostAsync("/devices", new JsonObject { ["name"] = "phone", ["public_key"] = key });
        Assert.Equal((HttpStatusCode.Conflict, "public_key"), (again.Status, Assert.Single(again.Fields)));
        var next = await user.PostAsync("/devices", new JsonObject { ["name"] = "phone", ["public_key"] = Key() });
        Assert.Equal(HttpStatusCode.Created, next.Status);
        Assert.NotEqual(configuration["addresses"]!.ToJsonString(), next.Json["configuration"]!["addresses"]!.ToJsonString());
        var trail = (await host.Admin.GetAsync($"/audit_events?actor={user.Email}")).Json["list"]!.AsArray().Where(e => e!["resource_id"]!.GetValue<string>() == id.ToString()).Select(e => e!["action_type"]!.GetValue<string>());
        Assert.Equal(["device.revoke", "device.update", "device.create"], trail);
    }

    [Fact]
    public async Task Devices_are_their_users_and_only_administrators_and_readers_see_others()
    {
        var (one, other, reader) = (await host.UserAsync("member"), await host.UserAsync("client"), await host.UserAsync("read_only"));
        var id = await AddAsync(one, "mine");
        await AddAsync(other, "mine");
        Assert.Single((await one.GetAsync("/devices")).Json["list"]!.AsArray());
        Assert.Single((await one.GetAsync($"/devices?user={one.Email}")).Json["list"]!.AsArray());
        Assert.Equal(HttpStatusCode.Forbidden, (await other.GetAsync($"/devices?user={one.Email}")).Status);
        Assert.Equal(HttpStatusCode.Forbidden, (await other.GetAsync("/devices?user=*")).Status);
        foreach (var path in new[] { $"/devices/{id}", $"/devices/{id}/renew" })
            Assert.Equal(HttpStatusCode.NotFound, (await other.SendAsync(path.EndsWith("renew", StringComparison.Ordinal) ? "POST" : "GET", path, null)).Status);
        Assert.Equal(HttpStatusCode.NotFound, (await other.DeleteAsync($"/devices/{id}")).Status);
        Assert.Empty((await reader.GetAsync("/devices")).Json["list"]!.AsArray());
        Assert.Equal(id, (await reader.GetAsync($"/devices?user={one.UserId}")).Json["list"]![0]!["device_id"]!.GetValue<Guid>());
        Assert.True((await reader.GetAsync("/devices?user=*")).Json["list"]!.AsArray().Count >= 2);
        Assert.Equal(HttpStatusCode.OK, (await reader.GetAsync($"/devices/{id}")).Status);
        Assert.Equal(HttpStatusCode.NotFound, (await reader.DeleteAsync($"/devices/{id}")).Status);

        // An administrator takes it away, and cannot say that its user has logged in.
        Assert.Equal(HttpStatusCode.NotFound, (await host.Admin.PostAsync($"/devices/{id}/renew")).Status);
        Assert.Equal(HttpStatusCode.OK, (await host.Admin.DeleteAsync($"/devices/{id}")).Status);
        Assert.Empty((await one.GetAsync("/devices")).Json["list"]!.AsArray());
    }

    [Fact]
    public async Task A_login_counts_for_a_device_from_when_it_was_made_and_for_as_long_as_the_organization_says()
    {
        var user = await host.UserAsync("client");
        var id = await AddAsync(user, "laptop");
        var began = await LoginAsync(user);
        Assert.Equal((began, began + TimeSpan.FromDays(7)), await ValidAsync(id));

        // Shorter: at once, for the devices there are. Longer: when they are renewed.
        var changed = await host.Admin.PatchAsync("/organization", new JsonObject { ["device_login_seconds"] = 3600 });
        Assert.Equal((HttpStatusCode.OK, 3600), (changed.Status, changed.Json["device_login_seconds"]!.GetValue<int>()));
        Assert.Equal((began, began + TimeSpan.FromHours(1)), await ValidAsync(id));
        await host.Admin.PatchAsync("/organization", new JsonObject { ["device_login_seconds"] = 7200 });
        Assert.Equal((began, began + TimeSpan.FromHours(1)), await ValidAsync(id));
        Assert.Equal(HttpStatusCode.OK, (await user.PostAsync("/devices/laptop/renew")).Status);
        Assert.Equal((began, began + TimeSpan.FromHours(2)), await ValidAsync(id));

        // A login of three hours ago gives a device nothing; a fresh one does.
        await ExecuteAsync("UPDATE login_session SET created_at = now() - interval '3 hours' WHERE user_id = @UserId", new { user.UserId });
        foreach (var refused in new[] { await user.PostAsync("/devices/laptop/renew"), await user.PostAsync("/devices", new JsonObject { ["name"] = "second", ["public_key"] = Key() }) })
        {
            Assert.Equal((HttpStatusCode.Forbidden, "login_too_old"), (refused.Status, refused.Code));
            Assert.Contains("log in again", refused.Body, StringComparison.Ordinal);
        }

        var fresh = await host.LoginAsync(user.Email, "correct horse battery");
        var renewed = (await fresh.PostAsync("/devices/laptop/renew")).Json;
        Assert.True(renewed["renewed_at"]!.GetValue<DateTimeOffset>() > began);
        var (at, until) = await ValidAsync(id);
        Assert.Equal(at + TimeSpan.FromHours(2), until);

        // Renewing by an older login takes nothing away.
        await ExecuteAsync("UPDATE login_session SET created_at = now() - interval '1 hour' WHERE user_id = @UserId AND created_at < now() - interval '2 hours'", new { user.UserId });
        Assert.Equal(HttpStatusCode.OK, (await user.PostAsync("/devices/laptop/renew")).Status);
        Assert.Equal((at, until), await ValidAsync(id));

        await host.Admin.PatchAsync("/organization", new JsonObject { ["device_login_seconds"] = 0 });
        Assert.Null((await fresh.PostAsync("/devices/laptop/renew")).Json["login_valid_until"]);
        foreach (var wrong in new[] { -1, 299, 31_536_001 })
            Assert.Equal("device_login_seconds", Assert.Single((await host.Admin.PatchAsync("/organization", new JsonObject { ["device_login_seconds"] = wrong })).Fields));
        await host.Admin.PatchAsync("/organization", new JsonObject { ["device_login_seconds"] = 604_800 });
    }

    [Fact]
    public async Task What_is_no_key_or_no_name_is_refused_and_a_user_has_25_devices()
    {
        var user = await host.UserAsync("client");
        var zero = Convert.ToBase64String(new byte[32]);
        foreach (var (name, key, preshared, fields) in new (string?, string?, string?, string[])[]
        {
            (null, null, null, ["name", "public_key"]),
            ("a b", "short", "x", ["name", "preshared_key", "public_key"]),
            ("a", zero, null, ["public_key"]),
            ("a", host.Control.Authorities.WireGuardPublicKey.ToString(), null, ["public_key"]),
            ("a", Convert.ToBase64String(new byte[31]), null, ["public_key"]),
        })
        {
            var refused = await user.PostAsync("/devices", new JsonObject { ["name"] = name, ["public_key"] = key, ["preshared_key"] = preshared });
            Assert.Equal(HttpStatusCode.UnprocessableEntity, refused.Status);
            Assert.Equal(fields, refused.Fields);
        }

        await AddAsync(user, "d0");
        Assert.Equal("name_taken", (await user.PostAsync("/devices", new JsonObject { ["name"] = "D0", ["public_key"] = Key() })).Code);
        for (var i = 1; i < 25; i++)
            await AddAsync(user, $"d{i}");
        Assert.Equal("name_taken", (await user.PatchAsync("/devices/d1", new JsonObject { ["name"] = "d2" })).Code);
        var full = await user.PostAsync("/devices", new JsonObject { ["name"] = "d25", ["public_key"] = Key() });
        Assert.Equal((HttpStatusCode.Conflict, "conflict"), (full.Status, full.Code));
        await user.DeleteAsync("/devices/d3");
        await AddAsync(user, "d25");
    }

    [Fact]
    public async Task Users_at_once_get_addresses_of_their_own_and_a_full_range_gives_out_what_no_history_speaks_of()
    {
        var users = await Task.WhenAll(Enumerable.Range(0, 6).Select(_ => host.UserAsync("client")));
        var ids = await Task.WhenAll(users.Select(u => AddAsync(u, "d")));
        Assert.Equal(6, (await AddressesAsync(ids)).Distinct().Count());

        // One short of the gateways' own place: that is nobody's.
        await ExecuteAsync("UPDATE grid SET device_addresses = 25699", null);
        Assert.Equal(25701, Assert.Single(await AddressesAsync([await AddAsync(users[0], "after-own")])));

        await ExecuteAsync("DELETE FROM device_address WHERE released_at IS NOT NULL; UPDATE grid SET device_addresses = 65533", null);
        Assert.Equal(65534, Assert.Single(await AddressesAsync([await AddAsync(users[0], "last")])));
        Assert.Equal(HttpStatusCode.Conflict, (await users[0].PostAsync("/devices", new JsonObject { ["name"] = "none", ["public_key"] = Key() })).Status);
        var freed = await AddressesAsync(ids);
        await users[1].DeleteAsync("/devices/d");
        await ExecuteAsync(
            """
            INSERT INTO session (session_id, organization_id, user_id, user_email, socket_name, client_ip, client_port, credential, gateway, silo, silo_incarnation, "authorization", decision_id, policy_version)
            SELECT gen_random_uuid(), organization_id, gen_random_uuid(), '', 's', '', 0, json_build_object('kind', 'device', 'id', @id::text), 'g', 's', gen_random_uuid(), 'allowed', gen_random_uuid(), 1 FROM organization
            """, new { id = ids[1] });
        Assert.Equal(HttpStatusCode.Conflict, (await users[0].PostAsync("/devices", new JsonObject { ["name"] = "none", ["public_key"] = Key() })).Status);
        await users[2].DeleteAsync("/devices/d");
        var after = await AddressesAsync([await AddAsync(users[0], "reused")]);
        Assert.Equal([freed[2]], after);
        await ExecuteAsync("UPDATE grid SET device_addresses = 10000", null);
    }

    private static string Key() => WireGuardPrivateKey.PublicKey(WireGuardPrivateKey.Generate()).ToString();

    private static async Task<Guid> AddAsync(ApiClient user, string name)
    {
        var created = await user.PostAsync("/devices", new JsonObject { ["name"] = name, ["public_key"] = Key() });
        Assert.True(created.Status == HttpStatusCode.Created, created.Body);
        return created.Json["device_id"]!.GetValue<Guid>();
    }

    private async Task<int[]> AddressesAsync(Guid[] devices)
    {
        await using var connection = await host.Database.DataSource.OpenConnectionAsync(Cancel);
        return [.. await connection.QueryAsync<int>("SELECT address_index FROM device_address JOIN unnest(@devices) WITH ORDINALITY AS d(device_id, n) USING (device_id) ORDER BY n", new { devices })];
    }

    private async Task<(DateTimeOffset At, DateTimeOffset Until)> ValidAsync(Guid id)
    {
        await using var connection = await host.Database.DataSource.OpenConnectionAsync(Cancel);
        return await connection.QuerySingleAsync<(DateTimeOffset, DateTimeOffset)>("SELECT renewed_at, login_valid_until FROM device WHERE device_id = @id", new { id });
    }

    private async Task<DateTimeOffset> LoginAsync(ApiClient user)
    {
        await using var connection = await host.Database.DataSource.OpenConnectionAsync(Cancel);
        return await connection.QuerySingleAsync<DateTimeOffset>("SELECT created_at FROM login_session WHERE user_id = @UserId", new { user.UserId });
    }

    private async Task ExecuteAsync(string sql, object? parameters)
    {
        await using var connection = await host.Database.DataSource.OpenConnectionAsync(Cancel);
        await connection.ExecuteAsync(sql, parameters);
    }
}
