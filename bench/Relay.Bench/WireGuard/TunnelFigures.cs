using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Relay.Bench.Ssh;
using Relay.TestKit.Processes;

namespace Relay.Bench.WireGuard;

/// <summary>One iperf3 run over TCP.</summary>
/// <param name="Gbits">Payload that arrived, Gbit/s.</param>
/// <param name="ClientCpu">Seconds of processor of the client's end for a GiB; NaN: there is none.</param>
/// <param name="ServerCpu">The same of the server's end.</param>
/// <param name="TunnelCpu">Of that, what the gateway's threads take that carry the tunnel's packets: without the flow's end and its way on.</param>
internal sealed record TcpFigure(double Gbits, double ClientCpu, double ServerCpu, double TunnelCpu);

/// <summary>What one <see cref="TunnelWay"/> can do.</summary>
internal sealed record TunnelFigures(TcpFigure Up1, TcpFigure Down1, TcpFigure Up4, TcpFigure Down4, double UdpPackets, double LatencyP50, double LatencyP99)
{
    private const int Seconds = 4;
    private const double GiB = 1L << 30;

    // What a tunnel of 1420 bytes carries whole.
    private const int DatagramLength = 1372;

    public static async Task<TunnelFigures> MeasureAsync(TunnelWay way)
    {
        // The first handshake, and code that is still being compiled.
        await TcpAsync(way, "-t", "2", "-P", "4");
        var (up1, down1) = (await TcpAsync(way, "-t", $"{Seconds}"), await TcpAsync(way, "-t", $"{Seconds}", "-R"));
        var (up4, down4) = (await TcpAsync(way, "-t", $"{Seconds}", "-P", "4"), await TcpAsync(way, "-t", $"{Seconds}", "-P", "4", "-R"));
        // When all code is what it will be.
        var latencies = await LatenciesAsync(way);
        return new TunnelFigures(up1, down1, up4, down4, await DatagramsAsync(way), latencies[latencies.Count / 2], latencies[latencies.Count * 99 / 100]);
    }

    /// <summary>
    /// Datagrams a second of the highest rate of which no more than one in a hundred is lost, as RFC 2544 §26.1 looks for it, in steps of a quarter. A sender without a rate
    /// takes the machine for itself, and says how little is left.
    /// </summary>
    private static async Task<double> DatagramsAsync(TunnelWay way)
    {
        var (best, rate, failures) = (0.0, 40e6, 0);
        // A rate is given up when it fails twice: what else happens on the machine should not end the search.
        while (failures < 2)
        {
            var udp = (await IperfAsync(way, "-u", "-b", rate.ToString("0", CultureInfo.InvariantCulture), "-l", $"{DatagramLength}", "-t", "2")).GetProperty("sum");
            var (packets, lost) = (udp.GetProperty("packets").GetDouble(), udp.GetProperty("lost_packets").GetDouble());
            // A sender that is slower than it should be has no more to show.
            if (lost > packets / 100 || packets * DatagramLength * 8 / udp.GetProperty("seconds").GetDouble() < rate * 0.9)
            {
                failures++;
                continue;
            }

            (best, rate, failures) = ((packets - lost) / udp.GetProperty("seconds").GetDouble(), rate * 1.25, 0);
        }

        return best;
    }

    /// <summary>Gbit/s of one TCP flow to the server, for so many seconds.</summary>
    public static async Task<double> UpAsync(TunnelWay way, int seconds) => (await TcpAsync(way, "-t", seconds.ToString(CultureInfo.InvariantCulture))).Gbits;

    private static async Task<TcpFigure> TcpAsync(TunnelWay way, params string[] arguments)
    {
        double Cpu(RunningProcess? process) => process is null ? double.NaN : ProcessCpu.Seconds(process.Id);
        double Tunnel() => way.ServerEnd is null ? double.NaN : ProcessCpu.Seconds(way.ServerEnd.Id, "wg-");
        var (client, server, tunnel) = (Cpu(way.ClientEnd), Cpu(way.ServerEnd), Tunnel());
        var received = (await IperfAsync(way, arguments)).GetProperty("sum_received");
        var gib = received.GetProperty("bytes").GetDouble() / GiB;
        return new TcpFigure(received.GetProperty("bits_per_second").GetDouble() / 1e9, (Cpu(way.ClientEnd) - client) / gib, (Cpu(way.ServerEnd) - server) / gib, (Tunnel() - tunnel) / gib);
    }

    private static async Task<JsonElement> IperfAsync(TunnelWay way, params string[] arguments)
    {
        var result = await way.Client.RunAsync("iperf3", ["-c", way.Address, "-p", TunnelWay.Port.ToString(CultureInfo.InvariantCulture), "-J", .. arguments]);
        return JsonDocument.Parse(result.Text).RootElement.GetProperty("end");
    }

    /// <summary>Round trips of 64 bytes over one connection, nothing else under way; milliseconds, in order.</summary>
    private static async Task<List<double>> LatenciesAsync(TunnelWay way)
    {
        const int EchoPort = 7, Rounds = 3000;
        using var listener = way.Server.CreateSocket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Any, EchoPort));
        listener.Listen();
        using var socket = way.Client.CreateSocket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.NoDelay = true;
        // Threads of their own, which the kernel wakes: what is measured is the way, not this program.
        var echo = new Thread(() =>
        {
            using var accepted = listener.Accept();
            accepted.NoDelay = true;
            var bytes = new byte[64];
            while (accepted.Receive(bytes) is var read and > 0)
                accepted.Send(bytes, read, SocketFlags.None);
        })
        { IsBackground = true };
        echo.Start();
        await socket.ConnectAsync(IPAddress.Parse(way.Address), EchoPort);
        var times = new List<double>(Rounds);
        await Task.Factory.StartNew(() =>
        {
            var bytes = new byte[64];
            for (var i = -200; i < Rounds; i++)
            {
                var from = Stopwatch.GetTimestamp();
                socket.Send(bytes);
                for (var read = 0; read < bytes.Length;)
                    read += socket.Receive(bytes, read, bytes.Length - read, SocketFlags.None);
                if (i >= 0)
                    times.Add(Stopwatch.GetElapsedTime(from).TotalMilliseconds);
            }
        }, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        socket.Shutdown(SocketShutdown.Both);
        times.Sort();
        return times;
    }
}
