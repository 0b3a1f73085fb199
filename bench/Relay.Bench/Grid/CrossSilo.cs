using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Relay.Bench.Ssh;
using Relay.Protocol.Ssh;
using Relay.TestKit;

namespace Relay.Bench.Grid;

/// <summary>The same bytes through a connector of the gateway's silo and through one of another silo: what the hop costs.</summary>
internal sealed class CrossSilo : IBenchmark
{
    private const int Rounds = 3;
    private const long Bytes = 512L << 20;

    public string Prefix => "grid.cross_silo_throughput";

    public async Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        await using var transfers = Transfers.Serve();
        await using var live = await LiveGrid.StartAsync(2, regions: true);
        await live.SendAsync(HttpMethod.Delete, "/policies/default-org-policy");
        var key = await live.AddUserAsync("someone@example.test");
        foreach (var (name, silo) in new[] { ("near", 0), ("far", 1) })
        {
            await live.Grid.StartConnectorAsync(name, silo);
            await live.AddForwardingSocketAsync(name, name, new JsonObject { ["email"] = new JsonArray("someone@example.test") });
        }

        // Turn by turn: what else the machine does hits both.
        var rates = new Dictionary<string, List<double>>();
        for (var round = 0; round < Rounds; round++)
        {
            foreach (var upload in new[] { true, false })
            {
                foreach (var name in new[] { "near", "far" })
                {
                    var way = $"{name} {(upload ? "up" : "down")}";
                    if (!rates.TryGetValue(way, out var list))
                        rates[way] = list = [];
                    list.Add(await RateAsync(live, name, key, transfers, upload));
                }
            }
        }

        var hops = (await live.SendAsync(HttpMethod.Get, "/sessions?page_size=100"))["list"]!.AsArray();
        foreach (var (name, expected) in new[] { ("near", 1), ("far", 2) })
        {
            if (hops.Any(s => s!["socket_name"]!.GetValue<string>() == name && s["hops"]!.GetValue<int>() != expected))
                throw new InvalidOperationException($"The way to {name} has another number of silos than was to be measured.");
        }

        report.Add("grid.cross_silo_throughput", "MB/s", Better.Higher, Median(rates["far up"]), "same silo", Median(rates["near up"]));
        Report.Note(string.Create(CultureInfo.InvariantCulture, $"down: {Median(rates["far down"]):0} MB/s, same silo {Median(rates["near down"]):0} MB/s, ratio {Median(rates["far down"]) / Median(rates["near down"]):0.00}"));
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

    private static async Task<double> RateAsync(LiveGrid live, string socket, SshPrivateKey key, TcpService transfers, bool upload)
    {
        await using var connection = await live.ConnectAsync(socket, key);
        var channel = await LiveGrid.ForwardAsync(connection, transfers.Port);
        var start = Stopwatch.GetTimestamp();
        if (upload)
        {
            var block = new byte[256 * 1024];
            for (var sent = 0L; sent < Bytes; sent += block.Length)
                await channel.WriteAsync(block);
            await channel.SendEofAsync();
            var counted = BitConverter.ToInt64(await ReadAsync(channel, sizeof(long)));
            if (counted != Bytes)
                throw new InvalidOperationException($"{counted} bytes arrived of {Bytes}.");
        }
        else
        {
            await channel.WriteAsync(BitConverter.GetBytes(-Bytes));
            var received = 0L;
            while (received < Bytes)
                received += await NextAsync(channel) is { Length: > 0 } data ? data.Length : throw new InvalidOperationException("It ended early.");
        }

        return Bytes / Stopwatch.GetElapsedTime(start).TotalSeconds / 1e6;
    }

    private static async Task<byte[]> ReadAsync(SshChannel channel, int length)
    {
        var all = new List<byte>();
        while (all.Count < length)
            all.AddRange((await NextAsync(channel)).ToArray());
        return [.. all];
    }

    private static async ValueTask<ReadOnlyMemory<byte>> NextAsync(SshChannel channel)
    {
        while (true)
        {
            var next = await channel.ReadAsync();
            if (next.Kind == SshChannelEventKind.Data)
                return next.Data;
            if (next.Kind is SshChannelEventKind.Eof or SshChannelEventKind.Closed)
                throw new InvalidOperationException("The channel ended early.");
        }
    }
}
