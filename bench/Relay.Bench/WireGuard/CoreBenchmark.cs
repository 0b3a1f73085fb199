using System.Buffers.Binary;
using System.Security.Cryptography;
using Relay.Protocol.Crypto;
using Relay.Protocol.WireGuard;

namespace Relay.Bench.WireGuard;

/// <summary>
/// What the protocol costs by itself, on one core: no socket, no tunnel device. All rates are by this process's processor
/// time, so that what else runs on the machine takes nothing away but its caches.
/// </summary>
internal sealed class CoreBenchmark : IBenchmark
{
    private const int Rounds = 5;
    private const int Handshakes = 4000;
    private const int ManyPeers = 100_000;
    private const double GiB = 1L << 30;

    public string Prefix => "wg.";

    public Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        if (report.Wants("wg.handshakes_per_second"))
            HandshakesPerSecond(report);
        if (report.Wants("wg.seal") || report.Wants("wg.open"))
            Data(report);
        if (report.Wants("wg.packet_cost_many_peers"))
            ManyPeersCost(report);
        if (report.Wants("wg.idle_peer_memory"))
            Memory(report);
        return Task.CompletedTask;
    }

    private static void HandshakesPerSecond(Report report)
    {
        var (first, again, curve) = (new List<double>(), new List<double>(), new List<double>());
        for (var round = 0; round < Rounds; round++)
        {
            using var stock = new InitiationStock(Handshakes);
            first.Add(Handshakes / Answered(stock));
            again.Add(Handshakes / Answered(stock));
            curve.Add(1 / CurveSeconds());
        }

        report.Add("wg.handshakes_per_second", "1/s", Better.Higher, Median(again), "libcrypto's curve alone", Median(curve));
        Report.Note($"the responder's side, from an initiation to the first packet; {again.Min():0}–{again.Max():0}, libcrypto's curve {curve.Min():0}–{curve.Max():0}; aim 5,000");
        Report.Note($"a peer's first handshake, with one agreement more: {first.Min():0}–{first.Max():0}");
    }

    private static double Answered(InitiationStock stock)
    {
        stock.Initiate();
        var answering = Seconds(stock.Answer);
        stock.Confirm();
        var beginning = Seconds(stock.Begin);
        return stock.Established == Handshakes ? answering + beginning : throw new InvalidOperationException($"{stock.Established} of {Handshakes} sessions");
    }

    // One new key and three agreements: less than that no responder can do.
    private static double CurveSeconds()
    {
        using var own = X25519PrivateKey.Generate();
        var secret = new byte[X25519PrivateKey.Length];
        return Seconds(() =>
        {
            for (var i = 0; i < Handshakes; i++)
            {
                using var ephemeral = X25519PrivateKey.Generate();
                for (var agreement = 0; agreement < 3; agreement++)
                    own.TryDerive(ephemeral.PublicKey.Span, secret);
            }
        }) / Handshakes;
    }

    private static void Data(Report report)
    {
        using var pair = new CorePair(0);
        const int Runs = 100 * CorePair.Prepared;
        // Without a packet's header, counter, replay window and routing.
        using var framework = new ChaCha20Poly1305(RandomNumberGenerator.GetBytes(32));
        var nonce = new byte[12];
        var text = new byte[CorePair.PacketLength + 4];
        var tag = new byte[16];
        void Bare(int runs)
        {
            for (var i = 0UL; i < (ulong)(runs * CorePair.RunPackets); i++)
            {
                BinaryPrimitives.WriteUInt64LittleEndian(nonce.AsSpan(4), i);
                framework.Encrypt(nonce, text, text, tag);
            }
        }

        void Seal(int runs)
        {
            for (var i = 0; i < runs; i++)
                pair.SealRun();
        }

        // Preparing needs as long as opening, so it is left out of the time.
        double Open(int runs)
        {
            var seconds = 0.0;
            for (var i = 0; i < runs; i += CorePair.Prepared)
            {
                pair.Prepare();
                seconds += Seconds(pair.OpenPrepared);
            }

            return seconds;
        }

        Bare(500);
        Seal(500);
        Open(500);
        var (bare, seal, open) = (new List<double>(), new List<double>(), new List<double>());
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var round = 0; round < Rounds; round++)
        {
            bare.Add(Runs * CorePair.RunBytes / GiB / Seconds(() => Bare(Runs)));
            seal.Add(Runs * CorePair.RunBytes / GiB / Seconds(() => Seal(Runs)));
            open.Add(Runs * CorePair.RunBytes / GiB / Open(Runs));
        }

        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        report.Add("wg.seal", "GiB/s", Better.Higher, Median(seal), "the framework's cipher", Median(bare));
        report.Add("wg.open", "GiB/s", Better.Higher, Median(open), "the framework's cipher", Median(bare));
        Report.Note($"one core, packets of {CorePair.PacketLength} bytes in runs of {CorePair.RunPackets}; seal {Spread(seal)}, open {Spread(open)}, the framework's cipher {Spread(bare)}");
        Report.Note($"allocated: {allocated / (double)(Rounds * Runs * CorePair.RunPackets * 3):0.0000} bytes per packet");
    }

    private static void ManyPeersCost(Report report)
    {
        const int Runs = 100 * CorePair.Prepared;
        using var one = new CorePair(0);
        using var many = new CorePair(ManyPeers);
        static double Nanoseconds(CorePair pair)
        {
            var seconds = 0.0;
            for (var i = 0; i < Runs; i += CorePair.Prepared)
            {
                pair.Prepare();
                seconds += Seconds(() =>
                {
                    pair.OpenPrepared();
                    for (var run = 0; run < CorePair.Prepared; run++)
                        pair.SealRun();
                });
            }

            return seconds * 1e9 / Runs / CorePair.RunPackets;
        }

        Nanoseconds(one);
        Nanoseconds(many);
        var (withOne, withMany) = (new List<double>(), new List<double>());
        for (var round = 0; round < Rounds; round++)
        {
            withOne.Add(Nanoseconds(one));
            withMany.Add(Nanoseconds(many));
        }

        report.Add("wg.packet_cost_many_peers", "ns", Better.Lower, Median(withMany), "1 peer", Median(withOne));
        Report.Note($"one packet opened and one sealed, at {ManyPeers:#,0} peers; {Spread(withMany)} against {Spread(withOne)}");
    }

    private static void Memory(Report report)
    {
        using var device = CorePair.NewDevice();
        var before = PrivateBytes();
        CorePair.AddPeers(device, ManyPeers);
        var each = (PrivateBytes() - before) / (double)ManyPeers;

        // A peer that has just made a session, which it keeps for nine minutes.
        const int Sessions = 20_000;
        var sessions = new SessionsAtRest(device);
        sessions.Add(1000);
        before = PrivateBytes();
        sessions.Add(Sessions);
        var withSession = (PrivateBytes() - before) / (double)Sessions;
        report.Add("wg.idle_peer_memory", "B", Better.Lower, each);
        Report.Note($"at {ManyPeers:#,0} peers with an IPv4 and an IPv6 address each, as the kernel counts the process; aim below 4,096");
        Report.Note($"{withSession:#,0} bytes for a peer without addresses that has a session; both ends established it: {sessions.Established == 2 * (Sessions + 1000)}");
        GC.KeepAlive(device);
    }

    private static long PrivateBytes()
    {
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        return Ssh.ProcessMemory.Bytes(Environment.ProcessId);
    }

    private static double Seconds(Action action)
    {
        var before = Environment.CpuUsage.TotalTime;
        action();
        return (Environment.CpuUsage.TotalTime - before).TotalSeconds;
    }

    private static double Median(List<double> values)
    {
        var sorted = values.Order().ToArray();
        return sorted[sorted.Length / 2];
    }

    private static string Spread(List<double> values) => $"{values.Min():0.00}–{values.Max():0.00}";
}
