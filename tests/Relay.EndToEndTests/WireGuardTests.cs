using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Npgsql;
using Relay.TestKit;
using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary>Users with nothing but the stock WireGuard client: what they reach, what is on record, and how they lose it.</summary>
public sealed partial class WireGuardTests(WireGuardSite site) : IClassFixture<WireGuardSite>
{
    private const int Megabytes64 = 64 * 1024 * 1024;

    [Fact]
    public async Task Ssh_http_and_postgresql_are_reached_without_a_login_and_are_on_record()
    {
        Skip();
        var laptop = await site.AddDeviceAsync("laptop");
        var shell = await site.PublishSshAsync("wg-shell");
        var ssh = await laptop.SshAsync("root", shell, "echo over wireguard; exit 7");
        Assert.True(ssh.ExitCode == 7 && ssh.Text == "over wireguard\n", $"{ssh}\n{site.Grid.Logs()}");
        var session = await site.SessionAsync("wg-shell", s => s.GetProperty("end_time").ValueKind != JsonValueKind.Null && s.GetProperty("recording_state").GetString() == "ready");
        AssertDevice(session, laptop);
        Assert.Equal(("ssh", "allowed", "closed by user"), (Text(session, "session_type"), Text(session, "authorization"), Text(session, "outcome")));
        Assert.Contains(session.GetProperty("events").EnumerateArray(), e => e.GetProperty("type").GetString() == "exec" && e.GetProperty("status").GetString() == "allowed");

        // A real HTTP server that is there anyway: the silo's own.
        var api = new Uri(site.Grid.Silos[0].Api).Port;
        var page = await laptop.CurlAsync(await site.PublishAsync("wg-web", api), api, "/healthz");
        Assert.Equal((200, "ok\n"), page);
        session = await site.EndedAsync("wg-web");
        AssertDevice(session, laptop);
        Assert.Equal(("tls", "allowed", "allow-wg-web", "site", $"127.0.0.1:{api}"), (Text(session, "session_type"), Text(session, "authorization"), Text(session, "policy_name"), Text(session, "connector_name"), Text(session, "target")));
        Assert.True(session.GetProperty("bytes_up").GetInt64() > 0 && session.GetProperty("bytes_down").GetInt64() > 0, session.ToString());

        var database = new NpgsqlConnectionStringBuilder(site.Grid.Database);
        await using var postgres = TcpService.Bridge($"{database.Host}/.s.PGSQL.{database.Port}", site.Core);
        var address = await site.PublishAsync("wg-pg", postgres.Port);
        var psql = await laptop.RunAsync("psql", "-h", address, "-p", $"{postgres.Port}", "-U", database.Username!, "-d", database.Database!, "-XAtc", "SELECT 6 * 7");
        Assert.True(psql.Text == "42\n", psql.ToString());

        // The same by IPv6 alone: by names that the resolver inside was asked for over IPv6, and by an address.
        var named = await laptop.SshAsync("root", "wg-shell.relay", "echo over IPv6", "-6");
        Assert.True(named is { ExitCode: 0, Text: "over IPv6\n" }, $"{named}\n{site.Grid.Logs()}");
        Assert.Equal((200, "ok\n"), await laptop.CurlAsync("wg-web.relay", api, "/healthz", "-6"));
        psql = await laptop.RunAsync("psql", "-h", WireGuardSite.ToIPv6(address), "-p", $"{postgres.Port}", "-U", database.Username!, "-d", database.Database!, "-XAtc", "SELECT 6 * 8");
        Assert.True(psql.Text == "48\n", psql.ToString());

        // What its gateway has heard of it is there for people, some seconds later.
        JsonElement status = default;
        await Eventually.TrueAsync(
            async () =>
            {
                status = (await site.Grid.RelayJsonAsync("device", "show", "laptop")).GetProperty("status");
                return status.GetProperty("bytes_down").GetInt64() > 0 && status.GetProperty("bytes_up").GetInt64() > 0;
            },
            "the gateway's report is in the table");
        Assert.StartsWith(laptop.Outside + ":", Text(status, "endpoint"), StringComparison.Ordinal);
        Assert.Equal("gateway-0", Text(status, "gateway"));
        Assert.InRange(status.GetProperty("last_handshake_at").GetDateTimeOffset(), TimeProvider.System.GetUtcNow().AddMinutes(-10), TimeProvider.System.GetUtcNow().AddMinutes(1));
    }

    [Fact]
    public async Task Sixty_four_megabytes_arrive_unchanged_both_ways_and_are_counted()
    {
        Skip();
        var laptop = await site.AddDeviceAsync("bulk");
        await using var echo = TcpService.Echo(site.Core);
        var address = await site.PublishAsync("wg-echo", echo.Port);
        await using (var stream = await laptop.ConnectAsync(address, echo.Port))
        {
            var data = RandomNumberGenerator.GetBytes(Megabytes64);
            var back = SHA256.HashDataAsync(stream).AsTask();
            await stream.WriteAsync(data);
            // Half-closed: what is still on its way back arrives.
            stream.Socket.Shutdown(SocketShutdown.Send);
            Assert.Equal(SHA256.HashData(data), await back.WaitAsync(TimeSpan.FromSeconds(120)));
        }

        var session = await site.EndedAsync("wg-echo");
        Assert.Equal((Megabytes64, Megabytes64, "closed"), (session.GetProperty("bytes_up").GetInt64(), session.GetProperty("bytes_down").GetInt64(), Text(session, "outcome")));
    }

    [Fact]
    public async Task Datagrams_reach_a_udp_socket_come_back_and_are_counted()
    {
        Skip();
        var laptop = await site.AddDeviceAsync("datagrams");
        using var echo = site.Core.CreateSocket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        echo.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        var serving = EchoAsync(echo);
        var port = ((IPEndPoint)echo.LocalEndPoint!).Port;
        var address = await site.PublishAsync("wg-udp", port, type: "udp");
        using var socket = await laptop.DialAsync(address, port);
        foreach (var length in new[] { 1, 1300, 4000 })
        {
            var sent = RandomNumberGenerator.GetBytes(length);
            var back = new byte[65536];
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
            await socket.SendAsync(sent);
            Assert.Equal(sent, back[..await socket.ReceiveAsync(back, limit.Token)]);
        }

        // An ungranted port of the same address, as the kernel tells programs of "administratively prohibited".
        using var refused = await laptop.DialAsync(address, port == 9 ? 10 : 9);
        await refused.SendAsync("x"u8.ToArray());
        using var soon = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        var error = await Record.ExceptionAsync(async () => await refused.ReceiveAsync(new byte[10], soon.Token));
        Assert.Equal(SocketError.HostUnreachable, (error as SocketException)?.SocketErrorCode);

        await site.Grid.RelayAsync("session", "kill", "--socket", "wg-udp");
        var session = await site.EndedAsync("wg-udp");
        AssertDevice(session, laptop);
        Assert.Equal(("udp", "allowed", "killed by admin@relay.local"), (Text(session, "session_type"), Text(session, "authorization"), Text(session, "outcome")));
        await Eventually.TrueAsync(
            async () => (await site.EndedAsync("wg-udp")) is var s && (s.GetProperty("bytes_up").GetInt64(), s.GetProperty("bytes_down").GetInt64()) == (5301, 5301), "all bytes are counted");
        echo.Dispose();
        await serving;
    }

    [Fact]
    public async Task The_resolver_inside_names_what_the_user_may_use()
    {
        Skip();
        Assert.SkipUnless(File.Exists("/usr/bin/dig"), "Needs dig (bind9-dnsutils).");
        var laptop = await site.AddDeviceAsync("namer");
        var address = await site.PublishAsync("wg-named", 9);
        await site.PublishAsync("wg-unnamed", 9, allowed: false);
        var mine = await AskAsync("+short", "wg-named.relay", "A");
        Assert.True(mine.Text == address + "\n", $"{mine}\n{site.Grid.Logs()}");
        Assert.StartsWith("fd62:6f72:6465:7231::", (await AskAsync("+short", "+tcp", "WG-Named.relay", "AAAA")).Text, StringComparison.Ordinal);
        foreach (var none in new[] { "wg-unnamed.relay", "wg-nothing.relay" })
            Assert.Contains("status: NXDOMAIN", (await AskAsync(none, "A")).Text, StringComparison.Ordinal);
        Assert.Contains("status: REFUSED", (await AskAsync("example.com", "A")).Text, StringComparison.Ordinal);

        Task<CommandResult> AskAsync(params string[] question) => laptop.RunAsync("dig", ["@100.124.100.100", "+time=20", "+tries=2", .. question]);
    }

    [Fact]
    public async Task What_is_not_granted_sounds_like_what_is_not_there_and_is_on_record()
    {
        Skip();
        var laptop = await site.AddDeviceAsync("stranger");
        await using var service = TcpService.Echo(site.Core);
        var address = await site.PublishAsync("wg-closed", service.Port, allowed: false);
        var (status, body) = await laptop.CurlAsync(address, service.Port);
        Assert.Equal(403, status);
        Assert.StartsWith($"Access denied: there is nothing at {address}:{service.Port} that this device may use.\nDecision ", body, StringComparison.Ordinal);
        var session = await site.EndedAsync("wg-closed");
        AssertDevice(session, laptop);
        Assert.Equal(("denied", DecisionIn(body)), (Text(session, "authorization"), Text(session, "decision_id")));

        // An address at which there is nothing.
        var (noStatus, noBody) = await laptop.CurlAsync("100.126.250.250", service.Port);
        Assert.Equal((status, body.Replace(address, "100.126.250.250", StringComparison.Ordinal).Replace(DecisionIn(body), DecisionIn(noBody), StringComparison.Ordinal)), (noStatus, noBody));

        // Who does not speak HTTP is reset, and a terminal shows what SSH has to say.
        await using (var stream = await laptop.ConnectAsync(address, service.Port))
        {
            await stream.WriteAsync("\0\0\0\u0008????"u8.ToArray());
            await AssertResetAsync(stream);
        }

        Assert.Equal(255, (await laptop.SshAsync("root", address, "true")).ExitCode);
        await site.Grid.RelayAsync("socket", "create", "ssh", "--name", "wg-users", "--connector", "site", "--host", "127.0.0.1", "--port", "9", "--upstream-type", "standard");
        await site.AllowAsync("wg-users", """{"permissions":{"ssh":{"exec":{},"allowed_usernames":["alice"]}},"condition":{"who":{"email":["admin@relay.local"]}}}""");
        var root = await laptop.SshAsync("root", await site.AddressAsync("wg-users"), "true");
        Assert.Equal(255, root.ExitCode);
        Assert.Contains("allowed_usernames", root.Stderr, StringComparison.Ordinal);
        Assert.Contains("Decision ", root.Stderr, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_revoked_device_and_a_withdrawn_policy_end_idle_flows()
    {
        Skip();
        var (lost, kept) = (await site.AddDeviceAsync("lost"), await site.AddDeviceAsync("kept"));
        await using var echo = TcpService.Echo(site.Core);
        var one = await site.PublishAsync("wg-one", echo.Port);
        var three = await site.PublishAsync("wg-three", echo.Port);
        var two = await site.PublishAsync("wg-two", echo.Port);
        await using var ofLost = await lost.ConnectAsync(three, echo.Port);
        await using var ofKept = await kept.ConnectAsync(one, echo.Port);
        await using var withdrawn = await kept.ConnectAsync(two, echo.Port);
        foreach (var stream in new[] { ofLost, ofKept, withdrawn })
            await ExchangeAsync(stream);

        await site.Grid.RelayAsync("socket", "policy", "detach", "--socket", "wg-two", "--name", "allow-wg-two");
        await AssertResetAsync(withdrawn);
        Assert.StartsWith("access revoked: no_policy", Text(await site.EndedAsync("wg-two"), "outcome"), StringComparison.Ordinal);

        await site.Grid.RelayAsync("device", "revoke", "lost");
        await AssertResetAsync(ofLost);
        Assert.Equal("access revoked: the device that proved the user is not accepted any more", Text(await site.EndedAsync("wg-three"), "outcome"));

        // Its handshakes are not answered any more, while those of others are.
        await Eventually.TrueAsync(
            async () =>
            {
                await lost.ForgetAsync();
                return (await lost.RunAsync("curl", "-s", "-m", "5", $"http://{three}:{echo.Port}/")).ExitCode != 0 && await lost.LatestHandshakeAsync() == 0;
            },
            "the gateway has forgotten the device");
        await kept.ForgetAsync();
        await ExchangeAsync(ofKept);
        Assert.NotEqual(0, await kept.LatestHandshakeAsync());
    }

    [Fact]
    public async Task When_the_login_has_ended_flows_go_on_and_new_ones_are_told_how_to_renew_it()
    {
        Skip();
        var phone = await site.AddDeviceAsync("phone");
        await using var echo = TcpService.Echo(site.Core);
        var address = await site.PublishAsync("wg-login", echo.Port);
        var shell = await site.PublishSshAsync("wg-login-shell");
        await using var open = await phone.ConnectAsync(address, echo.Port);
        await ExchangeAsync(open);
        // A week later.
        await site.WriteAsync("UPDATE device SET login_valid_until = now() - interval '1 second' WHERE device_id = @id", ("id", phone.Id));
        await Eventually.TrueAsync(async () => (await phone.CurlAsync(address, echo.Port)).Status == 511, "the silo knows that the login has ended");

        var (_, body) = await phone.CurlAsync(address, echo.Port);
        Assert.Contains("the login of device phone has ended: log in again with relay device renew phone", body, StringComparison.Ordinal);
        Assert.Equal(DecisionIn(body), Text(await site.SessionAsync("wg-login", s => Text(s, "authorization") == "denied"), "decision_id"));
        var ssh = await phone.SshAsync("root", shell, "true");
        Assert.Equal(255, ssh.ExitCode);
        Assert.Contains("relay device renew phone", ssh.Stderr, StringComparison.Ordinal);
        await ExchangeAsync(open);

        await site.Grid.RelayAsync("device", "renew", "phone");
        await Eventually.TrueAsync(async () => (await phone.SshAsync("root", shell, "true")).ExitCode == 0, "the silo knows that the login was renewed");
        await using var again = await phone.ConnectAsync(address, echo.Port);
        await ExchangeAsync(again);
    }

    [Fact]
    public async Task Any_gateway_serves_the_same_configuration_when_one_is_killed_drains_or_is_there_again()
    {
        Skip();
        var tablet = await site.AddDeviceAsync("tablet");
        await using var echo = TcpService.Echo(site.Core);
        var address = await site.PublishAsync("wg-moves", echo.Port);
        await using var first = await tablet.ConnectAsync(address, echo.Port);
        await ExchangeAsync(first);
        var cut = (await site.SessionAsync("wg-moves", s => !Ended(s) && Text(s, "gateway") == "gateway-0")).GetProperty("session_id").GetString()!;

        // It dies, and what the device sends leads to another one, which asks it for a handshake: its own timers would do so after 15 seconds.
        site.Grid.Gateway.Process.Signal(9);
        var start = Stopwatch.GetTimestamp();
        await site.Grid.Gateway.Process.WaitForExitAsync();
        await tablet.MoveAsync(second: true);
        await using var second = await tablet.ConnectAsync(address, echo.Port);
        await ExchangeAsync(second);
        TestContext.Current.SendDiagnosticMessage($"gateway killed: a flow through another one after {Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s");
        await AssertResetAsync(first, "more");
        await site.SessionAsync("wg-moves", s => !Ended(s) && Text(s, "gateway") == "gateway-1");
        await Eventually.TrueAsync(async () => Ended(await site.Grid.RelayJsonAsync("session", "show", cut)), "the killed gateway's session is over");

        // It goes down: what is open goes on, and nothing new begins.
        site.SecondGateway.Process.Signal(15);
        await site.SecondGateway.Process.WaitForMessageAsync("draining");
        await AssertRefusedAsync(tablet, address, echo.Port);
        await ExchangeAsync(second);
        second.Socket.Shutdown(SocketShutdown.Send);
        Assert.Equal(0, await second.ReadAsync(new byte[1]).AsTask().WaitAsync(TimeSpan.FromSeconds(60)));
        Assert.Equal(0, await site.SecondGateway.Process.WaitForExitAsync());
        Assert.Contains("\"wireguard stopped\"", site.SecondGateway.Process.Output, StringComparison.Ordinal);
        Assert.Equal("closed", Text(await site.EndedAsync("wg-moves"), "outcome"));

        // The killed one is back, on top of what it has left behind.
        await site.Grid.RestartGatewayAsync();
        await site.Grid.Gateway.Process.WaitForMessageAsync("wireguard ready");
        await tablet.MoveAsync(second: false);
        await using var third = await tablet.ConnectAsync(address, echo.Port);
        await ExchangeAsync(third);
        // Both times, unless the machine stood still for 15 seconds.
        Assert.True(tablet.Invitations > 0, site.Grid.Logs());
    }

    internal static void Skip() => Assert.SkipUnless(WireGuardSite.IsAvailable, "Needs root, /dev/net/tun, nft, wireguard-go and wg.");

    internal static bool Ended(JsonElement session) => session.GetProperty("end_time").ValueKind != JsonValueKind.Null;

    internal static string Text(JsonElement session, string name) => session.GetProperty(name).GetString() ?? "";

    private static string DecisionIn(string text) => Decision().Match(text).Groups[1].Value;

    private static void AssertDevice(JsonElement session, DeviceMachine device)
    {
        var credential = session.GetProperty("credential");
        Assert.Equal(("device", device.Id.ToString("D"), device.Name), (Text(credential, "kind"), Text(credential, "id"), Text(credential, "name")));
        Assert.Equal(("admin@relay.local", device.Outside), (Text(session, "user_email"), Text(session, "client_ip")));
    }

    private static async Task EchoAsync(Socket socket)
    {
        var buffer = new byte[65536];
        try
        {
            while (true)
            {
                var received = await socket.ReceiveFromAsync(buffer, new IPEndPoint(IPAddress.Any, 0));
                await socket.SendToAsync(buffer.AsMemory(0, received.ReceivedBytes), received.RemoteEndPoint);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The end of the test.
        }
    }

    internal static async Task ExchangeAsync(NetworkStream stream)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        await stream.WriteAsync("ping"u8.ToArray(), limit.Token);
        var answer = new byte[4];
        await stream.ReadExactlyAsync(answer, limit.Token);
        Assert.Equal("ping", Encoding.ASCII.GetString(answer));
    }

    /// <summary>A new connection is reset. The kernel makes it before anybody decides, so this may come just before it is known here that it was made.</summary>
    internal static async Task AssertRefusedAsync(DeviceMachine device, string address, int port)
    {
        try
        {
            await using var stream = await device.ConnectAsync(address, port);
            await AssertResetAsync(stream);
        }
        catch (SocketException e)
        {
            Assert.Equal(SocketError.ConnectionReset, e.SocketErrorCode);
        }
    }

    /// <summary>The connection is reset, without a word or as soon as something more is said on it.</summary>
    internal static async Task AssertResetAsync(NetworkStream stream, string? say = null)
    {
        var error = await Record.ExceptionAsync(async () =>
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(90));
            if (say is not null)
                await stream.WriteAsync(Encoding.ASCII.GetBytes(say), limit.Token);
            await stream.ReadExactlyAsync(new byte[1], limit.Token);
        });
        Assert.Equal(SocketError.ConnectionReset, (error?.InnerException as SocketException)?.SocketErrorCode);
    }

    [GeneratedRegex("Decision ([0-9a-f-]{36})")]
    private static partial Regex Decision();
}
