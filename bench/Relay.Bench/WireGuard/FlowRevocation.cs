using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using Relay.Bench.Grid;
using Relay.TestKit;
using Relay.TestKit.Processes;

namespace Relay.Bench.WireGuard;

/// <summary>
/// 500 quiet TCP flows of two devices over three silos and a gateway, each of which has carried a byte: from sending the write that takes their right to
/// the end that the device's program sees. Half of them go a socket at a time, then what one device has left, then the rest with one policy.
/// </summary>
internal sealed class FlowRevocation : IBenchmark
{
    private const int Silos = 3;
    private const int Sockets = 20;
    private const int FlowsEach = 25;
    private const int AtOnce = 8;

    public string Prefix => "wg.revocation_p99";

    public async Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        if (!WireGuardGrid.IsAvailable)
        {
            Report.Note("the revocation of flows is left out: it needs root, /dev/net/tun, nft, wireguard-go and wg");
            return;
        }

        await using var site = new WireGuardGrid();
        await site.StartAsync(Silos);
        await using var live = await LiveGrid.OfAsync(site.Grid);
        report.Add("wg.revocation_p99", "s", Better.Lower, Withdrawal.Summarize(Silos, "flows", await MeasureAsync(site, live, cancellationToken)));
    }

    private static async Task<List<double>> MeasureAsync(WireGuardGrid site, LiveGrid live, CancellationToken cancellationToken)
    {
        await using var echo = TcpService.Echo(site.Core);
        for (var silo = 0; silo < Silos; silo++)
            await site.Grid.StartConnectorAsync($"c{silo}", silo);
        var sockets = new List<(string Name, string Address)>();
        for (var i = 0; i < Sockets; i++)
            sockets.Add(($"s{i}", await site.PublishAsync($"s{i}", echo.Port, allowed: i < Sockets / 2, connector: $"c{i % Silos}")));
        // The second half is granted by one policy.
        await live.AddPolicyAsync("half", sockets.Skip(Sockets / 2).Select(s => s.Name), Tls(), Administrator());
        await WriteFirstAsync(live, [.. sockets.Take(Silos).Select(s => s.Name)]);
        DeviceMachine[] devices = [await site.AddDeviceAsync("laptop"), await site.AddDeviceAsync("phone")];
        var flows = new List<Flow>();
        foreach (var (name, address) in sockets)
        {
            foreach (var some in Enumerable.Range(0, FlowsEach).Chunk(AtOnce))
                flows.AddRange(await Task.WhenAll(some.Select(n => OpenAsync(devices[n % devices.Length], name, address, echo.Port))));
        }

        var seconds = new List<double>();
        for (var i = 0; i < Sockets / 2; i++)
            await EndAsync(flows.Where(f => f.Socket == sockets[i].Name), HttpMethod.Put, $"/sockets/{sockets[i].Name}/policies", Withdrawal.Detach($"allow-{sockets[i].Name}"), i % Silos);
        var left = flows.Where(f => !f.Ended.IsCompleted).ToLookup(f => f.Device);
        await EndAsync(left[devices[1]], HttpMethod.Delete, $"/devices/{devices[1].Id}", null, 1);
        await EndAsync(left[devices[0]], HttpMethod.Delete, "/policies/half", null, 2);
        cancellationToken.ThrowIfCancellationRequested();
        return seconds.Count == Sockets * FlowsEach ? seconds : throw new InvalidOperationException($"{seconds.Count} flows were ended by a write.");

        async Task EndAsync(IEnumerable<Flow> some, HttpMethod method, string path, JsonNode? body, int silo) =>
            seconds.AddRange(await Withdrawal.MeasureAsync(live, "flows", some.Select(f => f.Ended), method, path, body, silo));
    }

    // The first write through a silo waits for code that is still being compiled, which is not what is measured: it is shown by itself.
    private static async Task WriteFirstAsync(LiveGrid live, string[] sockets)
    {
        await live.AddPolicyAsync("spare", sockets, Tls(), Administrator());
        for (var silo = 0; silo < Silos; silo++)
        {
            var start = Stopwatch.GetTimestamp();
            await live.SendAsync(HttpMethod.Put, $"/sockets/{sockets[silo]}/policies", Withdrawal.Detach("spare"), silo);
            Report.Note(string.Create(CultureInfo.InvariantCulture, $"  first write through silo {silo}, which nobody feels: answered after {Stopwatch.GetElapsedTime(start).TotalSeconds:0.000} s"));
        }
    }

    private static JsonObject Tls() => new() { ["tls"] = new JsonObject() };

    private static JsonObject Administrator() => new() { ["email"] = new JsonArray("admin@relay.local") };

    private static async Task<Flow> OpenAsync(DeviceMachine device, string socket, string address, int port)
    {
        var stream = await device.ConnectAsync(address, port);
        await stream.WriteAsync("x"u8.ToArray());
        await stream.ReadExactlyAsync(new byte[1]);
        return new Flow(device, socket, EndedAsync(stream));
    }

    private static async Task EndedAsync(NetworkStream stream)
    {
        await using var _ = stream;
        try
        {
            if (await stream.ReadAsync(new byte[1]) > 0)
                throw new InvalidOperationException("A quiet flow was told something.");
        }
        catch (IOException e) when (e.InnerException is SocketException { SocketErrorCode: SocketError.ConnectionReset })
        {
            // This is how a revoked flow ends.
        }
    }

    /// <param name="Ended">Once its program knows that it is over.</param>
    private sealed record Flow(DeviceMachine Device, string Socket, Task Ended);
}
