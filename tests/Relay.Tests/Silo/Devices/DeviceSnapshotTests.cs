using System.Net;
using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using Relay.Policy;
using Relay.Silo.Devices;
using Relay.Silo.Sessions;
using Relay.Silo.Snapshots;
using Relay.Silo.Storage;
using Relay.TestKit;
using Relay.Tests.Silo.Grid;

namespace Relay.Tests.Silo.Devices;

/// <summary>Devices and addresses as decisions see them.</summary>
public sealed class DeviceSnapshotTests(SiloFixture fixture) : IClassFixture<SiloFixture>
{
    private static readonly AccessAction Shell = new AccessAction.SshShell("ubuntu");
    private readonly TestSilo _silo = fixture.Silo;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private OrgSnapshot Snapshot => _silo.Get<SnapshotCell>().Find(_silo.OrganizationId)!;

    [Fact]
    public async Task A_device_is_in_the_snapshot_until_it_is_revoked_or_its_user_gone()
    {
        var user = await _silo.AddUserAsync();
        var (first, key) = await _silo.AddDeviceAsync(user, presharedKey: [1, 2, 3], login: TimeSpan.FromHours(1));
        var (second, _) = await _silo.AddDeviceAsync(user);
        Assert.True(_silo.Get<SnapshotCell>().TryFindDevice(first, out var snapshot, out var device, out var owner));
        Assert.Equal((_silo.OrganizationId, user, user), (snapshot.OrganizationId, device.UserId, owner.Id));
        Assert.Equal(Convert.ToBase64String(key), device.PublicKey);
        Assert.Equal([1, 2, 3], device.SealedPresharedKey!);
        var index = await _silo.QueryAsync<int>("SELECT address_index FROM device_address WHERE device_id = @first", new { first });
        Assert.Equal(_silo.Get<DeviceNetwork>().OfDevice(index), device.Addresses);
        Assert.Equal(await _silo.QueryAsync<DateTimeOffset>("SELECT login_valid_until FROM device WHERE device_id = @first", new { first }), device.LoginValidUntil);
        Assert.Null(Snapshot.Devices[second].LoginValidUntil);

        await _silo.ApplyAsync("UPDATE device SET revoked_at = now() WHERE device_id = @first", new { first });
        Assert.False(_silo.Get<SnapshotCell>().TryFindDevice(first, out _, out _, out _));
        Assert.True(Snapshot.Devices.ContainsKey(second));
        await _silo.ApplyAsync("DELETE FROM app_user WHERE user_id = @user", new { user });
        Assert.False(_silo.Get<SnapshotCell>().TryFindDevice(second, out _, out _, out _));

        // Both addresses are kept, and known to be nobody's.
        Assert.Equal(2, await _silo.QueryAsync<int>("SELECT count(*)::int FROM device_address WHERE device_id IN (@first, @second) AND released_at IS NOT NULL", new { first, second }));
    }

    [Fact]
    public async Task A_session_by_a_device_lives_as_long_as_the_device_is_the_users_whatever_its_login()
    {
        var (user, other) = (await _silo.AddUserAsync(), await _silo.AddUserAsync());
        var (socket, _) = await _silo.AddSocketAsync();
        await _silo.AllowAsync(user, socket);
        await _silo.AllowAsync(other, socket);
        var (device, _) = await _silo.AddDeviceAsync(user, login: TimeSpan.FromHours(-1));
        var credential = SessionCredential.Of(Snapshot.Devices[device]);
        Assert.Equal((SessionCredential.DeviceKind, device.ToString("D")), (credential.Kind, credential.Id));
        Assert.True(Evaluate(user, credential).Allowed);
        Assert.False(Evaluate(other, credential).Allowed);
        Assert.False(Evaluate(user, credential with { Fingerprint = Convert.ToBase64String(new byte[32]) }).Allowed);
        Assert.False(Evaluate(user, credential with { Id = Guid.NewGuid().ToString("D") }).Allowed);
        Assert.False(Evaluate(user, credential with { Id = "nonsense" }).Allowed);

        await _silo.ApplyAsync("UPDATE device SET revoked_at = now() WHERE device_id = @device", new { device });
        var refused = Evaluate(user, credential);
        Assert.False(refused.Allowed);
        Assert.Contains("the device that proved the user is not accepted any more", refused.Explain(), StringComparison.Ordinal);

        SessionVerdict Evaluate(Guid who, SessionCredential by) => _silo.Get<SessionAuthorizer>().Evaluate(
            new SessionFacts(Guid.NewGuid(), _silo.OrganizationId, who, "a@example.com", socket, "s", "ubuntu", IPAddress.Loopback, "gw-1", by, TimeProvider.System.GetUtcNow()), Shell);
    }

    [Fact]
    public async Task A_socket_has_addresses_that_lead_back_to_it_and_are_not_given_again()
    {
        var (first, _) = await _silo.AddSocketAsync();
        var (second, _) = await _silo.AddSocketAsync();
        var snapshot = Snapshot;
        foreach (var id in new[] { first, second })
        {
            var socket = snapshot.Sockets[id];
            var index = await _silo.QueryAsync<int>("SELECT resource_index FROM socket WHERE socket_id = @id", new { id });
            Assert.Equal(_silo.Get<DeviceNetwork>().OfSocket(index), socket.Addresses);
            Assert.All(socket.Addresses, a => Assert.Same(socket, snapshot.SocketsByAddress[IPAddress.Parse(a.ToString())]));
        }

        var former = snapshot.Sockets[second].Addresses;
        await _silo.ApplyAsync("DELETE FROM socket WHERE socket_id = @second", new { second });
        var (third, _) = await _silo.AddSocketAsync();
        Assert.Empty(former.Intersect(Snapshot.Sockets[third].Addresses));
        Assert.False(Snapshot.SocketsByAddress.ContainsKey(former[0]));
    }

    [Fact]
    public async Task What_a_silo_of_an_older_version_says_or_has_left_on_disk_has_no_devices_and_no_addresses()
    {
        var user = await _silo.AddUserAsync();
        await _silo.AddDeviceAsync(user, presharedKey: [7]);
        await _silo.AddSocketAsync();
        var rows = (await _silo.Get<SnapshotLoader>().ReadAsync(_silo.OrganizationId, known: null, Cancel))!;
        var json = JsonSerializer.SerializeToNode(rows, SnapshotRowsJson.Default.SnapshotRows)!;
        var same = _silo.Get<SnapshotLoader>().Build(json.Deserialize(SnapshotRowsJson.Default.SnapshotRows)!);
        Assert.Equal(Snapshot.Devices.Keys.Order(), same.Devices.Keys.Order());
        Assert.Equal([7], Assert.Single(same.Devices.Values, d => d.UserId == user && d.SealedPresharedKey is not null).SealedPresharedKey!);

        Assert.True(json.AsObject().Remove("devices"));
        foreach (var socket in json["sockets"]!.AsArray())
            Assert.True(socket!.AsObject().Remove("resource_index"));
        var old = _silo.Get<SnapshotLoader>().Build(json.Deserialize(SnapshotRowsJson.Default.SnapshotRows)!);
        Assert.Empty(old.Devices);
        Assert.Empty(old.SocketsByAddress);
        Assert.All(old.Sockets.Values, s => Assert.Empty(s.Addresses));
    }

    [Fact]
    public async Task Sockets_from_before_get_their_places_in_the_order_they_were_made()
    {
        await using var postgres = await PrivatePostgres.CreateAsync(migrated: false);
        await using (var connection = await postgres.DataSource.OpenConnectionAsync(Cancel))
        {
            foreach (var migration in Migrations.Embedded().Where(m => m.Version <= 7))
            {
                await using var command = new Npgsql.NpgsqlCommand(migration.Sql, connection);
                await command.ExecuteNonQueryAsync(Cancel);
            }

            await using var fill = new Npgsql.NpgsqlCommand(
                """
                CREATE TABLE schema_migration (version int PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());
                INSERT INTO organization (organization_id, name, user_ca, ssh_ca, user_ca_public, ssh_ca_public)
                SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, 'o' || n, '', '', '', '' FROM generate_series(1, 3) n;
                INSERT INTO socket (socket_id, organization_id, name, socket_type, upstream, created_at)
                SELECT gen_random_uuid(), ('00000000-0000-0000-0000-00000000000' || o)::uuid, 's' || s, 'ssh', '{}', now() - s * interval '1 hour'
                FROM generate_series(1, 2) o, generate_series(1, 3) s;
                """,
                connection);
            await fill.ExecuteNonQueryAsync(Cancel);
            foreach (var migration in Migrations.Embedded().Where(m => m.Version <= 7))
            {
                await using var note = new Npgsql.NpgsqlCommand("INSERT INTO schema_migration (version, name, sha256) VALUES ($1, $2, $3)", connection) { Parameters = { new() { Value = migration.Version }, new() { Value = migration.Name }, new() { Value = migration.Sha256 } } };
                await note.ExecuteNonQueryAsync(Cancel);
            }
        }

        await Migrations.ApplyAsync(postgres.DataSource, NullLogger.Instance, Cancel);
        await using var later = postgres.DataSource.CreateCommand(
            """
            INSERT INTO socket (socket_id, organization_id, name, socket_type, upstream) SELECT gen_random_uuid(), organization_id, 'new', 'ssh', '{}' FROM organization;
            SELECT string_agg(o.name || '/' || s.name || '=' || s.resource_index, ' ' ORDER BY o.name, s.resource_index) FROM socket s JOIN organization o USING (organization_id);
            """);
        Assert.Equal("o1/s3=1 o1/s2=2 o1/s1=3 o1/new=4 o2/s3=1 o2/s2=2 o2/s1=3 o2/new=4 o3/new=1", await ScalarAsync(later));

        static async Task<string?> ScalarAsync(Npgsql.NpgsqlCommand command)
        {
            await using var reader = await command.ExecuteReaderAsync(Cancel);
            await reader.ReadAsync(Cancel);
            return reader.GetString(0);
        }
    }
}
