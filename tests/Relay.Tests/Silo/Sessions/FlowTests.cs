using System.Net;
using Microsoft.Extensions.DependencyInjection;
using Relay.Protocol.Grid;
using Relay.Silo.Sessions;
using Relay.Silo.Snapshots;
using Relay.Tests.Silo.Devices;
using Relay.Tests.Silo.Grid;

namespace Relay.Tests.Silo.Sessions;

/// <summary>What a silo answers about devices' flows and names.</summary>
public sealed class FlowTests(SiloFixture fixture) : IClassFixture<SiloFixture>
{
    private readonly TestSilo _silo = fixture.Silo;

    private OrgSnapshot Snapshot => _silo.Get<SnapshotCell>().Find(_silo.OrganizationId)!;

    [Fact]
    public async Task A_flow_to_a_raw_socket_is_a_session_of_the_device_and_carries()
    {
        using var target = new TargetServer();
        var (user, socket, name) = await PublishAsync("tls", target.Port);
        await AllowAsync(user, socket, """{"tls":{"max_session_duration_seconds":3600}}""");
        var (device, key) = await _silo.AddDeviceAsync(user);
        var gateway = _silo.Gateway("gw-flow");
        foreach (var address in Addresses(socket))
        {
            var answer = await OpenAsync(gateway, device, address, target.Port);
            Assert.True(answer.Allowed, answer.Message);
            Assert.Equal(("tcp", name, false), (answer.Kind, answer.Socket, answer.LoginRequired));
            Assert.NotNull(answer.EndsAt);
            var row = await _silo.QueryAsync<(string Type, string Ip, int Port, string Kind, string Id, string Name, string Fingerprint, Guid Decision)>(
                "SELECT session_type, client_ip, client_port, credential->>'kind', credential->>'id', credential->>'name', credential->>'fingerprint', decision_id FROM session WHERE session_id = @SessionId AND \"authorization\" = 'allowed' AND end_time IS NULL", new { answer.SessionId });
            Assert.Equal(("tls", "192.0.2.7", 4711, "device", device.ToString("D"), $"d-{device:D}", Convert.ToBase64String(key), answer.DecisionId), row);
            await using var stream = await gateway.StreamAsync(answer.SessionId);
            using var far = await target.AcceptAsync();
            await stream.WriteAsync(new byte[9], TestContext.Current.CancellationToken);
            using var end = await gateway.EndAsync(answer.SessionId, "closed", 9, 0);
            await Eventually.TrueAsync(async () => await _silo.QueryAsync<string>("SELECT outcome || ' ' || bytes_up FROM session WHERE session_id = @SessionId", new { answer.SessionId }) == "closed 9", "the row is ended");
        }
    }

    [Fact]
    public async Task What_is_not_for_the_device_sounds_like_what_is_not_there_and_only_the_history_knows()
    {
        var (user, forbidden, _) = await PublishAsync("tls", 5432);
        var (_, granted, _) = await PublishAsync("tls", 5433);
        await AllowAsync(user, granted, """{"tls":{}}""");
        var (device, _) = await _silo.AddDeviceAsync(user);
        var gateway = _silo.Gateway("gw-refused");
        var nowhere = new IPAddress(Addresses(forbidden)[0].GetAddressBytes() is var b ? [b[0], b[1], 250, 250] : []);
        var texts = new HashSet<string>();
        foreach (var (address, port, protocol, known) in ((IPAddress, int, string, Guid?)[])
        [
            (Addresses(forbidden)[0], 5432, "tcp", forbidden), (nowhere, 5432, "tcp", null), (Addresses(granted)[0], 5432, "tcp", null),
            (Addresses(granted)[0], 22, "tcp", null), (Addresses(granted)[0], 5433, "udp", null),
        ])
        {
            var answer = await OpenAsync(gateway, device, address, port, protocol);
            Assert.Equal((false, (string?)null, Guid.Empty, (string?)null, false), (answer.Allowed, answer.Kind, answer.SessionId, answer.Socket, answer.LoginRequired));
            texts.Add(answer.Message!.Replace(answer.DecisionId.ToString("D"), "ID", StringComparison.Ordinal).Replace($"{address}:{port}", "WHERE", StringComparison.Ordinal));
            var row = await _silo.QueryAsync<(Guid? Socket, string Type, string Kind, bool Ended, int Audited)>(
                "SELECT socket_id, session_type, credential->>'kind', end_time IS NOT NULL, (SELECT count(*)::int FROM audit_event WHERE action_type = 'session.denied' AND detail->>'decision_id' = @id) FROM session WHERE decision_id = @DecisionId AND outcome = 'denied'",
                new { answer.DecisionId, id = answer.DecisionId.ToString("D") });
            Assert.Equal((known, protocol == "udp" ? "udp" : "tls", "device", true, 1), row);
        }

        Assert.Equal("Access denied: there is nothing at WHERE that this device may use.\nDecision ID", Assert.Single(texts));
    }

    [Fact]
    public async Task A_clause_that_keeps_its_own_user_off_is_told()
    {
        var (user, socket, _) = await PublishAsync("tls", 5432);
        var policy = await AllowAsync(user, socket, """{"tls":{}}""");
        await _silo.ApplyAsync("UPDATE policy SET policy_data = jsonb_set(policy_data, '{condition,where}', '{\"allowed_ip\":[\"10.0.0.0/8\"]}') WHERE policy_id = @policy", new { policy });
        var (device, _) = await _silo.AddDeviceAsync(user);
        var answer = await OpenAsync(_silo.Gateway("gw-where"), device, Addresses(socket)[0], 5432);
        Assert.False(answer.Allowed);
        Assert.Contains("$.condition.where.allowed_ip", answer.Message, StringComparison.Ordinal);
        Assert.Contains("192.0.2.7", answer.Message, StringComparison.Ordinal);
        Assert.Contains(answer.DecisionId.ToString("D"), answer.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Knocking_again_and_again_leaves_few_rows()
    {
        var (user, socket, _) = await PublishAsync("tls", 5432);
        var (device, _) = await _silo.AddDeviceAsync(user);
        var gateway = _silo.Gateway("gw-knock");
        var address = Addresses(socket)[0];
        var decisions = new HashSet<Guid>();
        for (var i = 0; i < 100; i++)
        {
            var answer = await OpenAsync(gateway, device, address, 5432);
            decisions.Add(answer.DecisionId);
            Assert.EndsWith($"Decision {answer.DecisionId:D}", answer.Message, StringComparison.Ordinal);
        }

        Assert.Single(decisions);
        Assert.Equal(1, await RowsAsync());
        for (var port = 1; port <= 100; port++)
            Assert.False((await OpenAsync(gateway, device, address, port)).Allowed);
        Assert.Equal(RepeatedRefusals.PerDevice, await RowsAsync());
        // Another device has its own.
        var (other, _) = await _silo.AddDeviceAsync(user);
        await OpenAsync(gateway, other, address, 1);
        Assert.Equal(RepeatedRefusals.PerDevice + 1, await RowsAsync());

        Task<int> RowsAsync() => _silo.QueryAsync<int>("SELECT count(*)::int FROM session WHERE user_id = @user", new { user });
    }

    [Fact]
    public async Task An_ended_login_is_the_reason_only_where_it_is_the_only_one()
    {
        var (user, socket, name) = await PublishAsync("tls", 5432);
        var (_, forbidden, _) = await PublishAsync("tls", 5432);
        var (ssh, sshName) = await _silo.AddSocketAsync();
        await AllowAsync(user, socket, """{"tls":{}}""");
        await _silo.AllowAsync(user, ssh);
        var (device, _) = await _silo.AddDeviceAsync(user, login: TimeSpan.FromSeconds(-1));
        var gateway = _silo.Gateway("gw-login");
        var answer = await OpenAsync(gateway, device, Addresses(socket)[0], 5432);
        Assert.Equal((false, true), (answer.Allowed, answer.LoginRequired));
        Assert.Contains($"relay device renew d-{device:D}", answer.Message, StringComparison.Ordinal);
        Assert.Equal(name, await _silo.QueryAsync<string>("SELECT socket_name FROM session WHERE decision_id = @DecisionId AND outcome = 'denied'", new { answer.DecisionId }));
        Assert.False((await OpenAsync(gateway, device, Addresses(forbidden)[0], 5432)).LoginRequired);

        // An SSH client is told by SSH.
        Assert.Equal(("ssh", sshName), ((await OpenAsync(gateway, device, Addresses(ssh)[0], 22)) is { Allowed: true } flow ? (flow.Kind, flow.Socket) : default));
        var refused = await SshAsync(gateway, device, sshName, null);
        Assert.False(refused.Allowed);
        Assert.Contains($"relay device renew d-{device:D}", refused.Message, StringComparison.Ordinal);

        await _silo.ApplyAsync("UPDATE device SET login_valid_until = now() + interval '1 hour' WHERE device_id = @device", new { device });
        Assert.True((await OpenAsync(gateway, device, Addresses(socket)[0], 5432)).Allowed);
        Assert.True((await SshAsync(gateway, device, sshName, null)).Allowed);
    }

    [Fact]
    public async Task Ssh_is_let_through_to_the_ssh_server_for_whoever_may_be_some_user_there()
    {
        var user = await _silo.AddUserAsync();
        var (socket, name) = await _silo.AddSocketAsync(port: 2022, username: null);
        var (other, _) = await _silo.AddSocketAsync();
        await _silo.AllowAsync(user, socket, """{"shell":{},"allowed_usernames":["alice"]}""");
        var (device, _) = await _silo.AddDeviceAsync(user);
        var gateway = _silo.Gateway("gw-ssh");
        var flow = await OpenAsync(gateway, device, Addresses(socket)[0], FlowOpener.SshPort);
        Assert.Equal((true, "ssh", name, Guid.Empty), (flow.Allowed, flow.Kind, flow.Socket, flow.SessionId));
        Assert.False((await OpenAsync(gateway, device, Addresses(socket)[0], 2022)).Allowed);
        Assert.False((await OpenAsync(gateway, device, Addresses(other)[0], FlowOpener.SshPort)).Allowed);
        Assert.Equal(0, await _silo.QueryAsync<int>("SELECT count(*)::int FROM session WHERE user_id = @user AND \"authorization\" = 'allowed'", new { user }));

        var alice = await SshAsync(gateway, device, name, "alice");
        Assert.True(alice.Allowed, alice.Message);
        Assert.Equal(("alice", true), (alice.Upstream!.Username, alice.Recording!.Enabled));
        Assert.Equal(("device", "alice"), await _silo.QueryAsync<(string, string)>("SELECT credential->>'kind', ssh_user FROM session WHERE session_id = @SessionId", new { alice.SessionId }));
        Assert.Contains("root", (await SshAsync(gateway, device, name, "root")).Message, StringComparison.Ordinal);
        // A key and a device at once is neither.
        using var both = await gateway.PostAsync(GridRoutes.Sessions, new OpenSessionRequest("AAAA", name, "alice", "192.0.2.7", 1, "x", device), GridJson.Default.OpenSessionRequest);
        Assert.Equal(HttpStatusCode.BadRequest, both.StatusCode);
        using var neither = await gateway.PostAsync(GridRoutes.Sessions, new OpenSessionRequest("", name, "alice", "192.0.2.7", 1, "x"), GridJson.Default.OpenSessionRequest);
        Assert.Equal(HttpStatusCode.BadRequest, neither.StatusCode);
    }

    [Fact]
    public async Task Revoking_the_device_or_the_right_ends_what_is_open_and_nothing_is_opened_by_it()
    {
        using var target = new TargetServer();
        var (user, socket, _) = await PublishAsync("tls", target.Port);
        var policy = await AllowAsync(user, socket, """{"tls":{}}""");
        var (device, _) = await _silo.AddDeviceAsync(user);
        var (other, _) = await _silo.AddDeviceAsync(user);
        var gateway = _silo.Gateway("gw-revoke");
        using var control = await gateway.ControlAsync();
        var first = await OpenAsync(gateway, device, Addresses(socket)[0], target.Port);
        var second = await OpenAsync(gateway, other, Addresses(socket)[0], target.Port);
        await using var stream = await gateway.StreamAsync(first.SessionId);
        using var far = await target.AcceptAsync();

        await _silo.ApplyAsync("UPDATE device SET revoked_at = now() WHERE device_id = @device", new { device });
        var order = await control.NextOrderAsync();
        Assert.Equal(("end_session", first.SessionId), (order!.Type, order.SessionId!.Value));
        await Assert.ThrowsAnyAsync<IOException>(async () => await stream.ReadExactlyAsync(new byte[1], TestContext.Current.CancellationToken));
        var gone = await OpenAsync(gateway, device, Addresses(socket)[0], target.Port);
        Assert.Contains("this device is not known any more", gone.Message, StringComparison.Ordinal);
        Assert.Contains("this device is not known any more", (await SshAsync(gateway, device, "any", null)).Message, StringComparison.Ordinal);

        await _silo.ApplyAsync("DELETE FROM policy WHERE policy_id = @policy", new { policy });
        order = await control.NextOrderAsync();
        Assert.Equal(("end_session", second.SessionId), (order!.Type, order.SessionId!.Value));
        Assert.False((await OpenAsync(gateway, other, Addresses(socket)[0], target.Port)).Allowed);
    }

    [Fact]
    public async Task A_name_is_resolved_for_those_who_may_use_it()
    {
        var (user, socket, name) = await PublishAsync("tls", 5432);
        var (_, forbidden, forbiddenName) = await PublishAsync("tls", 5432);
        await AllowAsync(user, socket, """{"tls":{}}""");
        var (ssh, sshName) = await _silo.AddSocketAsync(username: null);
        await _silo.AllowAsync(user, ssh, """{"shell":{},"allowed_usernames":["alice"]}""");
        // As the connector's own user, whom nobody names.
        var (builtIn, builtInName) = await _silo.AddSocketAsync();
        await _silo.AllowAsync(user, builtIn);
        const string Upstream = """{"service_type":"ssh","ssh_service_configuration":{"ssh_service_type":"connector_built_in_ssh_service","username_provider":"use_connector_user"}}""";
        await _silo.ApplyAsync("UPDATE socket SET upstream = @Upstream::jsonb WHERE socket_id = @builtIn", new { Upstream, builtIn });
        await _silo.ApplyAsync("UPDATE organization SET name = 'Acme & Sons, Ltd.' WHERE organization_id = @OrganizationId", new { _silo.OrganizationId });
        // Also when the login has ended, so that what is dialled then can say so.
        var (device, _) = await _silo.AddDeviceAsync(user, login: TimeSpan.FromSeconds(-1));
        var gateway = _silo.Gateway("gw-names");
        foreach (var (asked, found) in ((string, Guid?)[])
        [
            (name, socket), (name.ToUpperInvariant(), socket), ($"{name}-acme-sons-ltd", socket), ($"{name}-ACME-Sons-Ltd", socket), (sshName, ssh), (builtInName, builtIn),
            ($"{name}-other", null), (forbiddenName, null), ($"{forbiddenName}-acme-sons-ltd", null), ("-acme-sons-ltd", null), ("nothing", null), (new string('x', 253), null),
        ])
        {
            var answer = await ResolveAsync(gateway, device, asked);
            Assert.Equal(found is { } id ? Addresses(id).Select(a => a.ToString()) : [], answer.Addresses);
        }

        Assert.Empty((await ResolveAsync(gateway, Guid.NewGuid(), name)).Addresses);
        using var tooLong = await gateway.PostAsync(GridRoutes.Resolve, new ResolveRequest(device, new string('x', 254), "192.0.2.7"), GridJson.Default.ResolveRequest);
        Assert.Equal(HttpStatusCode.BadRequest, tooLong.StatusCode);
    }

    [Theory]
    [InlineData("100.126.0.1", 0, "tcp", "192.0.2.7")]
    [InlineData("100.126.0.1", 65536, "tcp", "192.0.2.7")]
    [InlineData("100.126.0.1", 22, "icmp", "192.0.2.7")]
    [InlineData("somewhere", 22, "tcp", "192.0.2.7")]
    [InlineData("100.126.0.1", 22, "tcp", "")]
    public async Task A_malformed_question_is_refused(string address, int port, string protocol, string clientIp)
    {
        using var answer = await _silo.Gateway("gw-bad").PostAsync(GridRoutes.Flows, new OpenFlowRequest(Guid.NewGuid(), address, port, protocol, clientIp, 1), GridJson.Default.OpenFlowRequest);
        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
    }

    [Fact]
    public async Task Only_gateways_may_ask()
    {
        foreach (var peer in new[] { _silo.Peer(new GridPeer(GridRole.Silo, "silo-9")), _silo.Stranger() })
        {
            using var flow = await peer.PostAsync(GridRoutes.Flows, new OpenFlowRequest(Guid.NewGuid(), "100.126.0.1", 22, "tcp", "192.0.2.7", 1), GridJson.Default.OpenFlowRequest);
            using var name = await peer.PostAsync(GridRoutes.Resolve, new ResolveRequest(Guid.NewGuid(), "a", "192.0.2.7"), GridJson.Default.ResolveRequest);
            Assert.All(new[] { flow, name }, a => Assert.Contains(a.StatusCode, new[] { HttpStatusCode.Unauthorized, HttpStatusCode.Forbidden }));
        }
    }

    private static Task<OpenFlowResponse> OpenAsync(TestPeer gateway, Guid device, IPAddress address, int port, string protocol = "tcp") => gateway.AskAsync(
        GridRoutes.Flows, new OpenFlowRequest(device, address.ToString(), port, protocol, "192.0.2.7", 4711), GridJson.Default.OpenFlowRequest, GridJson.Default.OpenFlowResponse);

    private static Task<OpenSessionResponse> SshAsync(TestPeer gateway, Guid device, string socket, string? user) => gateway.AskAsync(
        GridRoutes.Sessions, new OpenSessionRequest("", socket, user, "192.0.2.7", 4711, "SSH-2.0-test", device), GridJson.Default.OpenSessionRequest, GridJson.Default.OpenSessionResponse);

    private static Task<ResolveResponse> ResolveAsync(TestPeer gateway, Guid device, string name) => gateway.AskAsync(
        GridRoutes.Resolve, new ResolveRequest(device, name, "192.0.2.7"), GridJson.Default.ResolveRequest, GridJson.Default.ResolveResponse);

    private IReadOnlyList<IPAddress> Addresses(Guid socket) => Snapshot.Sockets[socket].Addresses;

    private async Task<(Guid User, Guid Socket, string Name)> PublishAsync(string type, int port)
    {
        var user = await _silo.AddUserAsync();
        var (socket, name) = await _silo.AddSocketAsync();
        var upstream = $$$"""{"service_type":"tls","tls_service_configuration":{"tls_service_type":"standard","hostname":"127.0.0.1","port":{{{port}}}}}""";
        await _silo.ApplyAsync("UPDATE socket SET socket_type = @type, upstream = @upstream::jsonb WHERE socket_id = @socket", new { type, upstream, socket });
        return (user, socket, name);
    }

    private async Task<Guid> AllowAsync(Guid user, Guid socket, string permissions)
    {
        var policy = await _silo.AllowAsync(user, socket);
        await _silo.ApplyAsync("UPDATE policy SET policy_data = jsonb_set(policy_data, '{permissions}', @permissions::jsonb) WHERE policy_id = @policy", new { policy, permissions });
        return policy;
    }
}
