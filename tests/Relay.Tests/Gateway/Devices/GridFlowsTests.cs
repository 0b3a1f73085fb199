using System.Net;
using System.Net.Sockets;
using System.Text;
using Relay.Gateway.WireGuard.Decisions;
using Relay.Protocol.Grid;
using Relay.Protocol.Ssh;
using Relay.Protocol.Tunnel;
using Relay.Protocol.WireGuard;
using Relay.TestKit;
using Relay.TestKit.Processes;

namespace Relay.Tests.Gateway.Devices;

/// <summary>What becomes of devices' flows by the silo's answer. The connections are made on the loopback, where the data path would have them from the kernel.</summary>
public sealed class GridFlowsTests
{
    private static readonly UserDevice s_device = new() { Id = Guid.NewGuid(), UserId = Guid.NewGuid(), PublicKey = default, Addresses = [] };

    [Fact]
    public async Task Ssh_needs_no_key_and_its_session_is_the_devices()
    {
        await using var host = await GatewayHost.StartAsync();
        host.Silo.Flow = _ => new OpenFlowResponse(true, Guid.NewGuid(), "ssh", Socket: "web-1");
        host.Silo.Identify = _ => throw new InvalidOperationException("nobody's key is asked about");
        var result = await SshAsync(host, SshdServer.User, "echo through");
        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.Equal("through\n", result.Text);
        var flow = Assert.Single(host.Silo.Flows);
        Assert.Equal((s_device.Id, "100.126.0.7", 22, "tcp", "192.0.2.9", 4711), (flow.Device, flow.Address, flow.Port, flow.Protocol, flow.ClientIp, flow.ClientPort));
        var opened = Assert.Single(host.Silo.Opened);
        Assert.Equal((s_device.Id, "", "web-1", SshdServer.User, "192.0.2.9", 4711), (opened.Device!.Value, opened.PublicKey, opened.Socket, opened.UpstreamUser, opened.ClientIp, opened.ClientPort));
        await host.EndOfAsync(host.LastSession);

        // A preface on such a connection is no way to another socket: it is no SSH.
        using var rude = new TcpClient();
        await ServeAsync(host, rude.ConnectAsync);
        await rude.GetStream().WriteAsync("RELAY-1.0 other\r\nSSH-2.0-x\r\n"u8.ToArray(), GatewayHost.Deadline);
        var answer = await new StreamReader(rude.GetStream(), Encoding.Latin1).ReadToEndAsync(GatewayHost.Deadline);
        Assert.StartsWith("SSH-2.0-", answer, StringComparison.Ordinal);
        Assert.Single(host.Silo.Opened);
    }

    [Fact]
    public async Task A_refusal_of_ssh_is_told_in_the_terminal_and_a_key_does_not_help()
    {
        await using var host = await GatewayHost.StartAsync();
        host.Silo.Flow = _ => new OpenFlowResponse(true, Guid.NewGuid(), "ssh", Socket: "web-1");
        host.Silo.Open = _ => new OpenSessionResponse(false, Guid.NewGuid(), Guid.NewGuid(), "Access denied: the login of device laptop has ended.", null, null, null);
        foreach (var options in (string[][])[[], ["-o", "PreferredAuthentications=publickey", "-i", host.UserKeyFile]])
        {
            var result = await SshAsync(host, "root", "true", options);
            Assert.Equal(255, result.ExitCode);
            Assert.Contains("the login of device laptop has ended", result.Stderr, StringComparison.Ordinal);
        }

        Assert.All(host.Silo.Opened, o => Assert.Equal("", o.PublicKey));
    }

    [Fact]
    public async Task Without_a_tunnel_method_none_is_nobody()
    {
        await using var host = await GatewayHost.StartAsync();
        var result = await Command.RunAsync("ssh", [.. host.ClientOptions(), "-o", "PreferredAuthentications=none", "127.0.0.1", "true"], cancellationToken: GatewayHost.Deadline);
        Assert.Equal(255, result.ExitCode);
        Assert.Contains("Permission denied", result.Stderr, StringComparison.Ordinal);
        Assert.Empty(host.Silo.Opened);
    }

    [Fact]
    public async Task A_flows_session_carries_is_claimed_and_ends_with_its_bytes()
    {
        await using var host = await GatewayHost.StartAsync(withSshd: false);
        using var target = new TcpListener(IPAddress.Loopback, 0);
        target.Start();
        host.Silo.Target = target.LocalEndpoint;
        var session = Guid.NewGuid();
        host.Silo.Flow = _ => new OpenFlowResponse(true, Guid.NewGuid(), "tcp", session, "pg");
        var decision = await DecideAsync(host, 5432);
        using var peer = await target.AcceptSocketAsync(GatewayHost.Deadline);
        await decision.Stream!.WriteAsync("up"u8.ToArray(), GatewayHost.Deadline);
        var heard = new byte[2];
        await peer.ReceiveAsync(heard, GatewayHost.Deadline);
        Assert.Equal("up"u8.ToArray(), heard);

        // A silo that is met again is told of it.
        host.Silo.DropControlStreams();
        await GatewayHost.UntilAsync(() => host.Silo.Subscriptions.Any(s => s.Sessions.Contains(session)));
        Assert.Equal(1, host.Gateway.SessionCount);
        host.Silo.EndSession(session, "access revoked");
        await GatewayHost.UntilAsync(() => decision.Revoked.IsCancellationRequested);
        await decision.Stream.DisposeAsync();
        decision.Ended!(new FlowEnd(FlowEndCause.Revoked, 2, 7));
        Assert.Equal(new EndSessionRequest("access revoked", 2, 7), await host.EndOfAsync(session));
        Assert.Equal(0, host.Gateway.SessionCount);
        Assert.Equal(1, host.Gateway.Metrics.Count("relay_gateway_flows_total", "protocol=\"tcp\",verdict=\"allowed\""));
    }

    [Fact]
    public async Task A_time_limit_ends_a_flow_and_an_unreachable_target_ends_its_session()
    {
        await using var host = await GatewayHost.StartAsync(withSshd: false);
        using var target = new TcpListener(IPAddress.Loopback, 0);
        target.Start();
        host.Silo.Target = target.LocalEndpoint;
        var session = Guid.NewGuid();
        host.Silo.Flow = _ => new OpenFlowResponse(true, Guid.NewGuid(), "tcp", session, "pg", EndsAt: TimeProvider.System.GetUtcNow() + TimeSpan.FromSeconds(5));
        // Opened long before its time is over: one that ends while it is opened is none.
        var decision = await DecideAsync(host, 5432);
        await GatewayHost.UntilAsync(() => decision.Revoked.IsCancellationRequested);
        await decision.DropAsync();
        Assert.Equal("time limit reached", (await host.EndOfAsync(session)).Outcome);

        session = Guid.NewGuid();
        host.Silo.StreamFailure = (StreamOpenError.Refused, "connector site: nobody listens at db:5432");
        var failed = await DecideAsync(host, 5432);
        Assert.Contains("nobody listens at db:5432", failed.Reason, StringComparison.Ordinal);
        Assert.StartsWith("HTTP/1.1 502 ", Answer(failed, "GET / HTTP/1.1\r\n\r\n"), StringComparison.Ordinal);
        Assert.Contains("target not reached", (await host.EndOfAsync(session)).Outcome, StringComparison.Ordinal);
        Assert.Equal(0, host.Gateway.SessionCount);
    }

    [Fact]
    public async Task A_refusal_says_why_to_whoever_speaks_http()
    {
        await using var host = await GatewayHost.StartAsync(withSshd: false);
        host.Silo.Flow = _ => new OpenFlowResponse(false, Guid.NewGuid(), Message: "Access denied: nothing there.\nDecision 7");
        var denied = await DecideAsync(host, 80);
        Assert.Equal("Access denied: nothing there.; Decision 7", denied.Reason);
        Assert.StartsWith("HTTP/1.1 403 Forbidden\r\n", Answer(denied, "GET / HTTP/1.1\r\n\r\n"), StringComparison.Ordinal);
        Assert.EndsWith("Access denied: nothing there.\nDecision 7\n", Answer(denied, "GET / HTTP/1.1\r\n\r\n"), StringComparison.Ordinal);
        Assert.Equal("", Answer(denied, "SSH-2.0-x\r\n"));

        host.Silo.Flow = _ => new OpenFlowResponse(false, Guid.NewGuid(), Message: "relay device renew laptop", LoginRequired: true);
        Assert.StartsWith("HTTP/1.1 511 ", Answer(await DecideAsync(host, 80), "POST / HTTP/1.1\r\n\r\n"), StringComparison.Ordinal);

        // What this version does not know is not let through.
        host.Silo.Flow = _ => new OpenFlowResponse(true, Guid.NewGuid(), "quic", Guid.NewGuid(), "web");
        Assert.NotNull((await DecideAsync(host, 80)).Reason);
        Assert.Equal(0, host.Gateway.SessionCount);
    }

    private static string Answer(FlowDecision refusal, string said) => Encoding.UTF8.GetString(refusal.Answer!(Encoding.ASCII.GetBytes(said)).Span);

    private static async Task<FlowDecision> DecideAsync(GatewayHost host, int port) => await host.Gateway.Flows.DecideAsync(
        new FlowRequest(s_device, IPEndPoint.Parse("192.0.2.9:4711"), IPEndPoint.Parse("100.124.0.2:40000"), new IPEndPoint(IPAddress.Parse("100.126.0.7"), port), FlowProtocol.Tcp), GatewayHost.Deadline);

    private static async Task<CommandResult> SshAsync(GatewayHost host, string user, string command, params string[] options)
    {
        var result = Task.FromResult<CommandResult>(null!);
        await ServeAsync(host, (address, port) =>
        {
            result = Command.RunAsync(
                "ssh", ["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes", "-o", "IdentityFile=none", .. options, "-p", $"{port}", $"{user}@{address}", command],
                cancellationToken: GatewayHost.Deadline);
            return Task.CompletedTask;
        });
        return await result;
    }

    // One connection, as the data path would hand it over.
    private static async Task ServeAsync(GatewayHost host, Func<IPAddress, int, Task> connect)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        await connect(IPAddress.Loopback, ((IPEndPoint)listener.LocalEndpoint).Port);
        var accepted = await listener.AcceptSocketAsync(GatewayHost.Deadline);
        var decision = await DecideAsync(host, 22);
        _ = decision.Server!(accepted);
    }
}
