using System.Net;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using Relay.Protocol.Grid;
using Relay.Silo.Devices;
using Relay.Silo.Secrets;
using Relay.Silo.Snapshots;
using Relay.Tests.Silo.Grid;

namespace Relay.Tests.Silo.Devices;

/// <summary>What gateways are told of devices, and what becomes of what they tell.</summary>
public sealed class DeviceStreamTests(SiloFixture fixture) : IClassFixture<SiloFixture>
{
    private readonly TestSilo _silo = fixture.Silo;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_gateway_hears_of_all_devices_and_then_of_each_change_and_the_grids_key_comes_with_the_welcome()
    {
        var gateway = _silo.Gateway("gw-devices");
        var welcome = await gateway.AskAsync(GridRoutes.Hello, new GatewayHello("gw-devices", "1", "gw:22", "gw.example.com:32442", 1300), GridJson.Default.GatewayHello, GridJson.Default.GatewayWelcome);
        Assert.Equal(Convert.ToBase64String(_silo.Authorities.WireGuardKey.Span), welcome.WireGuard!.PrivateKey);
        Assert.Equal(("100.124.0.0/16,fd62:6f72:6465:7230::/64", "100.126.0.0/16,fd62:6f72:6465:7231::/64", "relay"), (string.Join(',', welcome.WireGuard.Devices), string.Join(',', welcome.WireGuard.Resources), welcome.WireGuard.Suffix));
        Assert.Equal("gw.example.com:32442 1300", await _silo.QueryAsync<string>("SELECT wireguard_address || ' ' || wireguard_mtu FROM gateway WHERE name = 'gw-devices'"));
        using (var refused = await gateway.PostAsync(GridRoutes.Hello, new GatewayHello("gw-devices", "1", "gw:22", "nowhere"), GridJson.Default.GatewayHello))
            Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
        using (var refused = await gateway.PostAsync(GridRoutes.Hello, new GatewayHello("gw-devices", "1", "gw:22", "gw.example.com:32442", 1279), GridJson.Default.GatewayHello))
            Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);

        var user = await _silo.AddUserAsync();
        var preshared = new byte[32];
        preshared[0] = 7;
        var first = await AddWithPresharedAsync(user, preshared);
        // Some for which one line is not enough.
        await _silo.ApplyAsync(
            """
            WITH made AS (
              INSERT INTO device (device_id, organization_id, user_id, name, public_key)
              SELECT gen_random_uuid(), @OrganizationId, @user, 'many-' || n, sha256(('many' || n)::bytea) FROM generate_series(1, 400) n RETURNING device_id)
            INSERT INTO device_address (address_index, device_id) SELECT 30000 + row_number() OVER (), device_id FROM made;
            """,
            new { _silo.OrganizationId, user });
        using var lines = await gateway.DevicesAsync();
        var all = new Dictionary<Guid, GridDevice>();
        var pages = 0;
        while (true)
        {
            var line = (await lines.ReadLineAsync(Cancel))!;
            Assert.True(Encoding.UTF8.GetByteCount(line) < 64 * 1024);
            var message = JsonSerializer.Deserialize(line, GridJson.Default.DevicesMessage)!;
            foreach (var device in message.Present!)
                all.Add(device.DeviceId, device);
            pages++;
            if (message.Type == "devices_complete")
                break;
            Assert.Equal("device_page", message.Type);
        }

        Assert.True(pages > 3);
        Assert.Equal(_silo.Get<SnapshotCell>().Find(_silo.OrganizationId)!.Devices.Keys.Order(), all.Keys.Order());
        Assert.Equal((user, Convert.ToBase64String(preshared)), (all[first].UserId, all[first].PresharedKey));
        Assert.All(all.Values, d => Assert.Equal(2, d.Addresses.Count));

        var (second, key) = await _silo.AddDeviceAsync(user, login: TimeSpan.FromHours(1));
        var added = await NextAsync(lines);
        var told = Assert.Single(added.Present!);
        Assert.Equal((second, Convert.ToBase64String(key)), (told.DeviceId, told.PublicKey));
        Assert.NotNull(told.LoginValidUntil);

        // A name is nothing to a gateway; when the login ends is.
        await _silo.ApplyAsync("UPDATE device SET name = 'other' WHERE device_id = @second", new { second });
        await _silo.ApplyAsync("UPDATE device SET login_valid_until = NULL WHERE device_id = @second", new { second });
        var changed = Assert.Single((await NextAsync(lines)).Present!);
        Assert.Equal((second, null), (changed.DeviceId, changed.LoginValidUntil));
        await _silo.ApplyAsync("UPDATE device SET revoked_at = now() WHERE device_id = @second", new { second });
        Assert.Equal(second, Assert.Single((await NextAsync(lines)).Removed!));
        await _silo.ApplyAsync("DELETE FROM app_user WHERE user_id = @user", new { user });
        Assert.Equal(401, (await NextAsync(lines)).Removed!.Count);
    }

    [Fact]
    public async Task A_gateways_reports_are_added_up_in_the_table_and_what_makes_no_sense_is_left_out()
    {
        var user = await _silo.AddUserAsync();
        var (device, _) = await _silo.AddDeviceAsync(user);
        var (one, two) = (_silo.Gateway("gw-report-1"), _silo.Gateway("gw-report-2"));
        var at = new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);
        await ReportAsync(one, new DeviceReport(device, "198.51.100.1:1", at, 10, 20), new DeviceReport(Guid.NewGuid(), "198.51.100.1:1", at, 1, 1), new DeviceReport(device, "nowhere", at, 1000, 0), new DeviceReport(device, "198.51.100.1:1", at, -1000, 0));
        await ReportAsync(two, new DeviceReport(device, "[2001:db8::1]:2", at.AddMinutes(2), 1, 2));
        await ReportAsync(one, new DeviceReport(device, "198.51.100.1:1", at.AddMinutes(1), 100, 200));
        await Eventually.TrueAsync(
            async () => await _silo.QueryAsync<long>("SELECT coalesce((SELECT bytes_up FROM device_status WHERE device_id = @device), 0)", new { device }) == 111, "all reports are written");
        Assert.Equal(
            (at.AddMinutes(2), "[2001:db8::1]:2", "gw-report-2", 222L),
            await _silo.QueryAsync<(DateTimeOffset, string, string, long)>("SELECT last_handshake_at, endpoint, gateway, bytes_down FROM device_status WHERE device_id = @device", new { device }));

        // A later one counts on; a clock that is ahead does not hide what others say.
        await ReportAsync(two, new DeviceReport(device, "198.51.100.9:9", TimeProvider.System.GetUtcNow().AddYears(1), 0, 0));
        await Eventually.TrueAsync(async () => await _silo.QueryAsync<string>("SELECT endpoint FROM device_status WHERE device_id = @device", new { device }) == "198.51.100.9:9", "the last report is written");
        Assert.True(await _silo.QueryAsync<bool>("SELECT last_handshake_at <= now() + interval '1 minute' FROM device_status WHERE device_id = @device", new { device }));

        using var many = await one.PostAsync(GridRoutes.DeviceReport, new DeviceReports([.. Enumerable.Range(0, 1001).Select(_ => new DeviceReport(device, "198.51.100.1:1", at, 0, 0))]), GridJson.Default.DeviceReports);
        Assert.Equal(HttpStatusCode.BadRequest, many.StatusCode);
    }

    [Fact]
    public async Task Gateways_share_what_was_written_once_and_one_that_does_not_read_is_cut_off_while_the_others_go_on()
    {
        var user = await _silo.AddUserAsync();
        await _silo.AddDeviceAsync(user);
        var cell = _silo.Get<SnapshotCell>();
        var feed = new DeviceFeed(cell, _silo.Get<SecretVault>(), NullLogger<DeviceFeed>.Instance);
        using var slow = feed.Subscribe("slow");
        using var fast = feed.Subscribe("fast");
        Assert.Same(slow.Complete, fast.Complete);
        // Although nothing was ever swapped in, as in a silo that was started without the store.
        Assert.Contains(cell.Find(_silo.OrganizationId)!.Devices.Keys.First().ToString(), string.Concat(slow.Complete.Select(Encoding.UTF8.GetString)), StringComparison.Ordinal);
        var taken = 0;
        for (var i = 0; i < 150; i++)
        {
            // Gone and back: two lines at least.
            feed.OnSwapped(_silo.OrganizationId, null);
            feed.OnSwapped(_silo.OrganizationId, cell.Find(_silo.OrganizationId));
            while (fast.Changes.TryRead(out _))
                taken++;
        }

        Assert.True(taken >= 300);
        var kept = 0;
        while (slow.Changes.TryRead(out _))
            kept++;
        Assert.InRange(kept, 1, 256);
        Assert.True(slow.Changes.Completion.IsCompleted);
        Assert.False(fast.Changes.Completion.IsCompleted);

        // Whoever asks again is told all there is.
        using var again = feed.Subscribe("slow");
        Assert.Contains(_silo.Get<SnapshotCell>().Find(_silo.OrganizationId)!.Devices.Keys.First().ToString(), string.Concat(again.Complete.Select(Encoding.UTF8.GetString)), StringComparison.Ordinal);
        feed.Close("slow");
        Assert.True(again.Changes.Completion.IsCompleted);
    }

    private async Task<Guid> AddWithPresharedAsync(Guid user, byte[] preshared)
    {
        var (id, _) = await _silo.AddDeviceAsync(user);
        await _silo.ApplyAsync("UPDATE device SET preshared_key = @value WHERE device_id = @id", new { id, value = _silo.Get<SecretVault>().Seal(SecretPlace.DevicePresharedKey(id), preshared) });
        return id;
    }

    private static async Task<DevicesMessage> NextAsync(StreamReader lines)
    {
        while (true)
        {
            var message = JsonSerializer.Deserialize((await lines.ReadLineAsync(Cancel))!, GridJson.Default.DevicesMessage)!;
            if (message.Type == "ping")
                continue;
            Assert.Equal("devices_changed", message.Type);
            return message;
        }
    }

    private static async Task ReportAsync(TestPeer gateway, params DeviceReport[] reports)
    {
        using var response = await gateway.PostAsync(GridRoutes.DeviceReport, new DeviceReports(reports), GridJson.Default.DeviceReports);
        Assert.Equal(HttpStatusCode.NoContent, response.StatusCode);
    }
}
