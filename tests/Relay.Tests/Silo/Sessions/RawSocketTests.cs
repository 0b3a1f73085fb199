using Relay.Protocol.Grid;
using Relay.Silo.Sessions;
using Relay.Tests.Silo.Grid;

namespace Relay.Tests.Silo.Sessions;

/// <summary>Sessions with sockets that carry bytes as they are.</summary>
public sealed class RawSocketTests(SiloFixture fixture) : IClassFixture<SiloFixture>
{
    private readonly TestSilo _silo = fixture.Silo;

    [Fact]
    public async Task A_session_has_nothing_to_log_in_with_and_says_what_it_is()
    {
        var (user, socket, name) = await PublishAsync("tls", 5432);
        await AllowAsync(user, socket, """{"tls":{"max_session_duration_seconds":3600}}""");
        var answer = await _silo.Gateway("gw-raw").OpenAsync(_silo.Certificate(user).Blob, name, "somebody");
        Assert.True(answer.Allowed, answer.Message);
        Assert.Equivalent(new SshUpstream(SshUpstream.Tcp, "127.0.0.1:5432", "", null, null, null, []), answer.Upstream);
        Assert.Equal(new RecordingSettings(false, false), answer.Recording);
        Assert.NotNull(answer.EndsAt);
        Assert.Equal(("tls", "", "disabled"), await _silo.QueryAsync<(string, string, string)>("SELECT session_type, ssh_user, recording_state FROM session WHERE session_id = @SessionId", new { answer.SessionId }));
    }

    [Fact]
    public async Task The_permission_of_another_kind_of_socket_does_not_do()
    {
        var (user, socket, name) = await PublishAsync("tls", 5432);
        await AllowAsync(user, socket, """{"ssh":{},"http":{}}""");
        var answer = await _silo.Gateway("gw-raw").OpenAsync(_silo.Certificate(user).Blob, name);
        Assert.False(answer.Allowed);
        Assert.Contains("$.permissions.tls: it does not permit tls.", answer.Message, StringComparison.Ordinal);
        Assert.Contains(answer.DecisionId.ToString("D"), answer.Message, StringComparison.Ordinal);
    }

    public static TheoryData<AuthorizeRequest, bool> Questions => new()
    {
        { new("tcp_forwarding", null, "NAME", 5432), true },
        { new("tcp_forwarding", null, "NAME.relay", 5432), true },
        { new("tcp_forwarding", null, "NAME", 0), true },
        { new("tcp_forwarding", null, "NAME", 5433), false },
        { new("tcp_forwarding", null, "NAMES", 5432), false },
        { new("tcp_forwarding", null, "127.0.0.1", 5432), false },
        { new("shell"), false },
        { new("exec", "id"), false },
        { new("sftp"), false },
        { new("agent_forwarding"), false },
    };

    [Theory]
    [MemberData(nameof(Questions))]
    public async Task A_connection_to_the_socket_itself_is_all_there_is(AuthorizeRequest request, bool allowed)
    {
        var (user, socket, name) = await PublishAsync("tls", 5432);
        await AllowAsync(user, socket, """{"tls":{},"ssh":{}}""");
        var gateway = _silo.Gateway("gw-raw");
        var session = (await gateway.OpenAsync(_silo.Certificate(user).Blob, name)).SessionId;
        var answer = await gateway.AuthorizeAsync(session, request with { DestinationAddress = request.DestinationAddress?.Replace("NAME", name.ToUpperInvariant(), StringComparison.Ordinal) });
        Assert.Equal(allowed, answer.Allowed);
        if (!allowed)
            Assert.Contains($"ssh -N -L PORT:{name}:5432 {name}@GATEWAY", answer.Message, StringComparison.Ordinal);
        Assert.Equal((request.Action, allowed ? "allowed" : "denied"), await _silo.QueryAsync<(string, string)>("SELECT type, status FROM session_event WHERE session_id = @session AND metadata->>'decision_id' = @id", new { session, id = answer.DecisionId.ToString() }));
    }

    [Fact]
    public async Task Each_connection_is_a_stream_of_its_own_and_all_their_bytes_count()
    {
        using var target = new TargetServer();
        var (user, socket, name) = await PublishAsync("tls", target.Port);
        await AllowAsync(user, socket, """{"tls":{}}""");
        var gateway = _silo.Gateway("gw-raw");
        var session = (await gateway.OpenAsync(_silo.Certificate(user).Blob, name)).SessionId;
        var live = _silo.Get<SessionRegistry>().Find(session, "gw-raw")!;
        await using (var first = await gateway.StreamAsync(session))
        {
            using var far = await target.AcceptAsync();
            await using var second = await gateway.StreamAsync(session);
            using var further = await target.AcceptAsync();
            await first.WriteAsync(new byte[100], TestContext.Current.CancellationToken);
            await second.WriteAsync(new byte[20], TestContext.Current.CancellationToken);
            await Eventually.TrueAsync(() => (live.BytesUp, live.OpenStreams) == (120L, 2), () => $"{live.BytesUp} bytes, {live.OpenStreams} streams");
        }

        await Eventually.TrueAsync(() => live.OpenStreams == 0, () => $"{live.OpenStreams} streams");
        Assert.Equal(120L, live.BytesUp);
        Assert.Empty(live.Ways());
        await using var third = await gateway.StreamAsync(session);
        using var last = await target.AcceptAsync();
        await third.WriteAsync(new byte[3], TestContext.Current.CancellationToken);
        await Eventually.TrueAsync(() => live.BytesUp == 123L, () => $"{live.BytesUp} bytes");
    }

    [Fact]
    public async Task Udp_is_refused_with_the_way_there_is()
    {
        var (user, socket, name) = await PublishAsync("udp", 53);
        await AllowAsync(user, socket, """{"tls":{}}""");
        var answer = await _silo.Gateway("gw-raw").OpenAsync(_silo.Certificate(user).Blob, name);
        Assert.False(answer.Allowed);
        Assert.Equal($"Cannot connect: socket {name} carries UDP, which is reached over WireGuard only: see relay device add.", answer.Message);
    }

    private async Task<(Guid User, Guid Socket, string Name)> PublishAsync(string type, int port)
    {
        var user = await _silo.AddUserAsync();
        var (socket, name) = await _silo.AddSocketAsync();
        var upstream = type == "udp"
            ? $$$"""{"service_type":"udp","udp_service_configuration":{"hostname":"127.0.0.1","port":{{{port}}}}}"""
            : $$$"""{"service_type":"tls","tls_service_configuration":{"tls_service_type":"standard","hostname":"127.0.0.1","port":{{{port}}}}}""";
        await _silo.ApplyAsync("UPDATE socket SET socket_type = @type, upstream = @upstream::jsonb WHERE socket_id = @socket", new { type, upstream, socket });
        return (user, socket, name);
    }

    private async Task AllowAsync(Guid user, Guid socket, string permissions)
    {
        var policy = await _silo.AllowAsync(user, socket);
        await _silo.ApplyAsync("UPDATE policy SET policy_data = jsonb_set(policy_data, '{permissions}', @permissions::jsonb) WHERE policy_id = @policy", new { policy, permissions });
    }
}
