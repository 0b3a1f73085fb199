using System.Net;
using System.Net.Sockets;
using System.Text;
using Relay.Protocol.Grid;
using Relay.Protocol.Ssh;
using Relay.Protocol.Tunnel;
using Relay.TestKit;

namespace Relay.Tests.Gateway;

/// <summary>Who gets in, and what those who do not are told, in the stock client.</summary>
public sealed class AccessTests
{
    [Fact]
    public async Task A_denial_is_shown_in_the_client_and_nothing_reaches_the_target()
    {
        await using var host = await GatewayHost.StartAsync();
        var decision = Guid.NewGuid();
        host.Silo.Open = _ => new OpenSessionResponse(false, Guid.NewGuid(), decision, $"Access to db-host is denied.\nnobody: $.condition.who.email needs ann@example.com\nDecision {decision}", null, null, null);
        var result = await host.SshAsync([], ["true"]);
        Assert.Equal(255, result.ExitCode);
        Assert.DoesNotContain("Connection from", host.Sshd!.Log, StringComparison.Ordinal);

        Assert.Contains("Access to db-host is denied.", result.Stderr, StringComparison.Ordinal);
        Assert.Contains("$.condition.who.email needs ann@example.com", result.Stderr, StringComparison.Ordinal);
        Assert.Contains($"Decision {decision}", result.Stderr, StringComparison.Ordinal);
        Assert.Empty(host.Silo.Ends);
    }

    [Fact]
    public async Task The_login_name_routes_and_the_key_says_who()
    {
        await using var host = await GatewayHost.StartAsync();
        Assert.Equal(0, (await host.SshAsync([], ["true"], login: "deploy@web-1")).ExitCode);
        Assert.Equal(0, (await host.SshAsync([], ["true"], login: "web-2")).ExitCode);
        Assert.Equal([("web-1", "deploy"), ("web-2", null)], host.Silo.Opened.Select(o => (o.Socket, o.UpstreamUser)));
        Assert.All(host.Silo.Opened, o => Assert.Equal("127.0.0.1", o.ClientIp));
        Assert.All(host.Silo.Opened, o => Assert.StartsWith("SSH-2.0-OpenSSH", o.ClientVersion));
    }

    [Fact]
    public async Task A_bad_login_name_is_explained_and_asks_the_silo_for_no_session()
    {
        await using var host = await GatewayHost.StartAsync();
        var result = await host.SshAsync([], ["true"], login: "db$host");
        Assert.Equal(255, result.ExitCode);
        Assert.Contains("[user@]socket", result.Stderr, StringComparison.Ordinal);
        Assert.Empty(host.Silo.Opened);
    }

    [Fact]
    public async Task An_unknown_key_is_not_a_user_whatever_the_name_says()
    {
        await using var host = await GatewayHost.StartAsync();
        host.Silo.Identify = _ => new IdentifyResponse(false, null, null);
        var result = await host.SshAsync([], ["true"]);
        Assert.Equal(255, result.ExitCode);
        Assert.Contains("Permission denied (publickey)", result.Stderr, StringComparison.Ordinal);
        Assert.Empty(host.Silo.Opened);
        Assert.All(host.Silo.Identified, i => Assert.False(i.Proven));
    }

    // An offered certificate can not be answered with text; once proven, it is.
    [Fact]
    public async Task A_certificate_that_does_not_hold_is_explained_once_it_is_proven()
    {
        await using var host = await GatewayHost.StartAsync();
        var certificate = host.WriteUserCertificate();
        host.Silo.Identify = _ => new IdentifyResponse(false, "your certificate ended at 09:00; run relay login", null);
        var result = await host.SshAsync(["-o", $"CertificateFile={certificate}"], ["true"]);
        Assert.Equal(255, result.ExitCode);
        Assert.Contains("run relay login", result.Stderr, StringComparison.Ordinal);
        Assert.Empty(host.Silo.Opened);

        host.Silo.Identify = _ => new IdentifyResponse(true, null, null);
        Assert.Equal(0, (await host.SshAsync(["-o", $"CertificateFile={certificate}"], ["true"])).ExitCode);
        Assert.True(SshCertificate.TryParse(Convert.FromBase64String(Assert.Single(host.Silo.Opened).PublicKey), out _, out _));
    }

    // L28: a preface names a route and nothing else.
    [Fact]
    public async Task A_preface_names_the_socket_and_the_key_still_decides()
    {
        await using var host = await GatewayHost.StartAsync();
        // It outlives the client's hang-up for as long as it has something to say, and leaves nobody behind who holds the connection.
        var proxy = $"bash -c 'trap \"\" HUP; exec 3<>/dev/tcp/127.0.0.1/{host.Gateway.SshEndPoint.Port}; printf \"RELAY-1.0 db-host\\r\\n\" >&3; cat <&3 & cat >&3; kill $!'";
        var result = await host.SshAsync(["-o", $"ProxyCommand={proxy}"], ["echo", "through"], login: "ubuntu");
        Assert.Equal("through\n", result.Text);
        Assert.Equal(("db-host", "ubuntu"), Assert.Single(host.Silo.Opened.Select(o => (o.Socket, o.UpstreamUser))));

        host.Silo.Identify = _ => new IdentifyResponse(false, null, null);
        result = await host.SshAsync(["-o", $"ProxyCommand={proxy}"], ["true"], login: "ubuntu");
        Assert.Equal(255, result.ExitCode);
        Assert.Single(host.Silo.Opened);
    }

    [Theory]
    [InlineData(StreamOpenError.NotAttached, "connector \"prod\" is offline")]
    [InlineData(StreamOpenError.Refused, "connector \"prod\" could not connect to 10.0.0.5:22: connection refused")]
    public async Task The_failing_hop_is_named_in_the_client_and_in_the_record(StreamOpenError error, string message)
    {
        await using var host = await GatewayHost.StartAsync();
        host.Silo.StreamFailure = (error, message);
        var result = await host.SshAsync("true");
        Assert.Equal(255, result.ExitCode);
        Assert.Contains(message, result.Stderr, StringComparison.Ordinal);
        Assert.Contains(message, (await host.EndOfAsync(host.LastSession)).Outcome, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_target_that_refuses_the_certificate_is_told_with_what_to_check()
    {
        await using var host = await GatewayHost.StartAsync();
        host.Silo.Open = _ => host.Allow() with { Upstream = host.Upstream() with { Username = "nobody-here" } };
        var result = await host.SshAsync("true");
        Assert.Equal(255, result.ExitCode);
        Assert.Contains("TrustedUserCAKeys", result.Stderr, StringComparison.Ordinal);
        Assert.Contains("relay_ssh_signed", result.Stderr, StringComparison.Ordinal);
        Assert.Contains("nobody-here", (await host.EndOfAsync(host.LastSession)).Outcome, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_foreign_host_key_stops_the_login_before_any_credential()
    {
        await using var host = await GatewayHost.StartAsync();
        using var other = SshPrivateKey.Generate(SshKeyKind.Ed25519);
        host.Silo.Open = _ => host.Allow() with { Upstream = host.Upstream() with { HostKeys = [other.PublicKey.ToLine("other")] } };
        var result = await host.SshAsync("true");
        Assert.Equal(255, result.ExitCode);
        Assert.Contains("is not one of the keys pinned", result.Stderr, StringComparison.Ordinal);
        Assert.DoesNotContain("publickey", host.Sshd!.Log, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_unpinned_host_key_is_the_silos_to_accept()
    {
        await using var host = await GatewayHost.StartAsync();
        HostKeyRequest? asked = null;
        host.Silo.Open = _ => host.Allow() with { Upstream = host.Upstream() with { HostKeys = [] } };
        host.Silo.PinHostKey = request =>
        {
            asked = request;
            return new HostKeyResponse(true, null);
        };
        Assert.Equal(0, (await host.SshAsync("true")).ExitCode);
        Assert.NotNull(asked);

        host.Silo.PinHostKey = _ => new HostKeyResponse(false, "an administrator has to connect first");
        var result = await host.SshAsync("true");
        Assert.Equal(255, result.ExitCode);
        Assert.Contains("an administrator has to connect first", result.Stderr, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_host_certificate_of_a_pinned_authority_is_accepted()
    {
        using var authority = SshPrivateKey.Generate(SshKeyKind.Ed25519);
        await using var host = await GatewayHost.StartAsync();
        var line = $"@cert-authority * {authority.PublicKey.ToLine("hosts")}";
        host.Silo.Open = _ => host.Allow() with { Upstream = host.Upstream() with { HostKeys = [line] } };

        // This sshd shows a plain key: an authority alone does not cover it.
        var result = await host.SshAsync("true");
        Assert.Equal(255, result.ExitCode);
        Assert.Contains("is not one of the keys pinned", result.Stderr, StringComparison.Ordinal);

        host.Silo.Open = _ => host.Allow() with { Upstream = host.Upstream() with { HostKeys = [line, host.Sshd!.HostKeyLine("rsa")] } };
        Assert.Equal(0, (await host.SshAsync("true")).ExitCode);
    }

    [Fact]
    public async Task A_stored_key_logs_in_too()
    {
        using var key = SshPrivateKey.Generate(SshKeyKind.Ed25519);
        await using var host = await GatewayHost.StartAsync();
        host.Sshd!.Directory.Write("authorized_keys", key.PublicKey.ToLine("stored") + "\n");
        host.Silo.Open = _ => host.Allow() with { Upstream = host.Upstream() with { PrivateKey = key.ExportOpenSsh("stored"), Certificate = null } };
        Assert.Equal(0, (await host.SshAsync("true")).ExitCode);
    }

    // L29: silence holds nobody up, not even from the same address.
    [Fact]
    public async Task Five_hundred_silent_clients_do_not_delay_a_good_one()
    {
        await using var host = await GatewayHost.StartAsync(withSshd: false);
        var silent = new List<Socket>();
        try
        {
            for (var i = 0; i < 500; i++)
            {
                var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                await socket.ConnectAsync(host.Gateway.SshEndPoint, GatewayHost.Deadline);
                silent.Add(socket);
            }

            using var good = new TcpClient();
            await good.ConnectAsync(host.Gateway.SshEndPoint, GatewayHost.Deadline);
            var hello = new byte[8];
            await good.GetStream().ReadExactlyAsync(hello, GatewayHost.Deadline);
            Assert.Equal("SSH-2.0-", Encoding.ASCII.GetString(hello));

            // All places are still taken by silent ones: it did not wait until one of them was given up.
            Assert.True(host.Gateway.Metrics.Render().Contains("relay_gateway_startups 256\n", StringComparison.Ordinal), host.Gateway.Metrics.Render());
        }
        finally
        {
            silent.ForEach(s => s.Dispose());
        }
    }

    // L18: the deadline cuts who does not log in; nothing is left behind.
    [Fact]
    public async Task Half_open_logins_end_at_the_deadline()
    {
        await using var host = await GatewayHost.StartAsync(configure: o => o with { LoginGraceTime = TimeSpan.FromSeconds(1) }, withSshd: false);
        var clients = new List<TcpClient>();
        for (var i = 0; i < 50; i++)
        {
            var client = new TcpClient();
            await client.ConnectAsync(host.Gateway.SshEndPoint, GatewayHost.Deadline);
            clients.Add(client);
            try
            {
                await client.GetStream().WriteAsync(i % 2 == 0 ? "RELAY-1.0 db"u8.ToArray() : "SSH-2.0-slow"u8.ToArray(), GatewayHost.Deadline);
            }
            catch (IOException)
            {
                // On a busy machine its time may be over before it has said anything.
            }
        }

        foreach (var client in clients)
        {
            await EndAsync(client);
            client.Dispose();
        }

        await GatewayHost.UntilAsync(() => host.Gateway.Metrics.Render().Contains("relay_gateway_startups 0\n", StringComparison.Ordinal), host.Gateway.Metrics.Render);
        Assert.Empty(host.Silo.Opened);
        Assert.Empty(host.Silo.Ends);
    }

    [Theory]
    [InlineData("RELAY-1.0 db host\r\nSSH-2.0-x\r\n")]
    [InlineData("RELAY-1.0 ../../etc\r\nSSH-2.0-x\r\n")]
    [InlineData("GET / HTTP/1.1\r\n\r\n")]
    public async Task Garbage_ends_its_own_connection(string garbage)
    {
        await using var host = await GatewayHost.StartAsync(withSshd: false, configure: o => o with { LoginGraceTime = TimeSpan.FromSeconds(5) });
        using var client = new TcpClient();
        await client.ConnectAsync(host.Gateway.SshEndPoint, GatewayHost.Deadline);
        await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(garbage), GatewayHost.Deadline);
        await EndAsync(client);
        Assert.True(host.Gateway.IsReady);
    }

    private static async Task EndAsync(TcpClient client)
    {
        var buffer = new byte[4096];
        try
        {
            while (await client.GetStream().ReadAsync(buffer, GatewayHost.Deadline) > 0)
            {
            }
        }
        catch (IOException)
        {
            // Reset is an end too.
        }
    }
}
