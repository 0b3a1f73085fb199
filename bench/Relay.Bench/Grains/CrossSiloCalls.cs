using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Relay.GrainHost.Membership;

namespace Relay.Bench.Grains;

/// <summary>Calls from one silo to another over TLS 1.3 on loopback; both silos in this process, on the same cores.</summary>
internal sealed class CrossSiloCalls : IBenchmark
{
    /// <inheritdoc cref="LocalCalls.OrleansReference"/>
    private const double OrleansConcurrentReference = 450_000;

    private const int SequentialCalls = 50_000;
    private const int ConcurrentCalls = 1_000_000;

    public string Prefix => "grain.cross_calls";

    public async Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        var table = new InMemoryMembershipTable(TimeProvider.System);
        await using var one = await BenchSilo.StartAsync(table, cancellationToken);
        await using var two = await BenchSilo.StartAsync(table, cancellationToken);
        await one.Host.Membership.RefreshAsync(cancellationToken);
        var grains = await RemoteGrainsAsync(one, two, 100);
        await Repeat.ConcurrentAsync(100, 300_000, (i, v) => grains[i].EchoAsync(v));
        await Repeat.SequentialAsync(10_000, grains[0].EchoAsync);

        var times = await Repeat.TimesAsync(SequentialCalls, () => grains[0].EchoAsync(1));
        Report.Note($"sequential:             {Describe(times)}");
        await using var bare = await BarePingPong.CreateAsync(cancellationToken);
        await Repeat.TimesAsync(10_000, bare.RoundAsync);
        var bareTimes = await Repeat.TimesAsync(SequentialCalls, bare.RoundAsync);
        Report.Note($"bare TLS, 32 B there and back: {Describe(bareTimes)}");
        var best = 0.0;
        for (var round = 0; round < 3; round++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var rate = await Repeat.MeasureAsync(ConcurrentCalls, () => Repeat.ConcurrentAsync(100, ConcurrentCalls, (i, v) => grains[i].EchoAsync(v)));
            Report.Note($"100 callers, 100 grains: {rate} (both silos)");
            best = Math.Max(best, rate.PerSecond);
        }

        report.Add("grain.cross_calls", "calls/s", Better.Higher, best, "Orleans, reference figure from another machine (2 vCPU), not measured here", OrleansConcurrentReference);
        report.Add("grain.cross_calls.p50", "µs", Better.Lower, Microseconds(times, 0.5), "bare TLS ping-pong of 32 bytes, same run", Microseconds(bareTimes, 0.5));
        report.Add("grain.cross_calls.p99", "µs", Better.Lower, Microseconds(times, 0.99), "bare TLS ping-pong of 32 bytes, same run", Microseconds(bareTimes, 0.99));
    }

    private static double Microseconds(TimeSpan[] sorted, double quantile) => sorted[(int)(sorted.Length * quantile)].TotalMicroseconds;

    private static string Describe(TimeSpan[] sorted) => string.Create(
        CultureInfo.InvariantCulture,
        $"p50 {Microseconds(sorted, 0.5):0.0} µs, p99 {Microseconds(sorted, 0.99):0.0} µs, {sorted.Length / sorted.Sum(t => t.TotalSeconds):#,0} calls/s");

    /// <summary>Grains that the second silo has: those whose call makes an activation there.</summary>
    private static async Task<IEchoGrain[]> RemoteGrainsAsync(BenchSilo one, BenchSilo two, int count)
    {
        var found = new List<IEchoGrain>();
        for (var i = 0; found.Count < count; i++)
        {
            var before = two.Host.ActivationCount;
            var grain = one.Host.GrainFactory.GetGrain<IEchoGrain>($"g{i}");
            await grain.EchoAsync(1);
            if (two.Host.ActivationCount > before) found.Add(grain);
        }

        return [.. found];
    }

    /// <summary>What TLS, sockets and the scheduler cost without any grain.</summary>
    private sealed class BarePingPong(Stream client, TcpListener listener) : IAsyncDisposable
    {
        private readonly byte[] _message = new byte[32];

        public static async Task<BarePingPong> CreateAsync(CancellationToken cancellationToken)
        {
            var listener = new TcpListener(IPAddress.Loopback, 0);
            listener.Start();
            _ = EchoAsync(listener);
            return new BarePingPong(await BenchSilo.DialAsync((IPEndPoint)listener.LocalEndpoint, cancellationToken), listener);
        }

        public async Task RoundAsync()
        {
            await client.WriteAsync(_message);
            await client.ReadExactlyAsync(_message);
        }

        public async ValueTask DisposeAsync()
        {
            await client.DisposeAsync();
            listener.Dispose();
        }

        private static async Task EchoAsync(TcpListener listener)
        {
            using var socket = await listener.AcceptTcpClientAsync();
            await using var server = await BenchSilo.AnswerAsync(socket);
            var message = new byte[32];
            while (await server.ReadAtLeastAsync(message, message.Length, throwOnEndOfStream: false) == message.Length) await server.WriteAsync(message);
        }
    }
}
