using System.Buffers.Binary;
using System.Collections.Concurrent;
using Relay.Protocol.WireGuard;

namespace Relay.Tests.Protocol.WireGuard;

/// <summary>Several threads at one device, one peer, one session.</summary>
public sealed class ConcurrencyTests
{
    private const int Threads = 4;
    private const int Each = 5000;
    private const int Length = 100;

    [Fact]
    public async Task Threads_that_seal_in_one_session_use_each_counter_once_and_all_packets_open()
    {
        using var pair = new DirectPair();
        var before = pair.Delivered;
        var first = pair.ToB.Keypairs.Current!.NextCounter;
        var stride = pair.A.SealedLength(Length);
        var packet = Inner.IPv4("10.0.0.1", "10.0.0.2", new byte[Length - 20]);
        var runs = new ConcurrentQueue<byte[]>();
        await Task.WhenAll(Enumerable.Range(0, Threads).Select(_ => Task.Run(() =>
        {
            for (var sent = 0; sent < Each; sent += 10)
            {
                var run = new byte[10 * stride];
                using var batch = pair.A.BeginSend(pair.ToB, pair.Now, pair);
                for (var i = 0; i < 10; i++)
                {
                    packet.CopyTo(run, (i * stride) + WireGuardWire.DataHeaderLength);
                    batch.Seal(run.AsSpan(i * stride), Length);
                }

                runs.Enqueue(run);
            }
        })));

        var counters = runs.SelectMany(r => Enumerable.Range(0, 10).Select(i => BinaryPrimitives.ReadUInt64LittleEndian(r.AsSpan((i * stride) + WireGuardWire.DataCounter)))).ToArray();
        Assert.Equal(Enumerable.Range(0, Threads * Each).Select(n => first + (ulong)n), counters.Order());

        // In the order of their last counters, each twice, by several threads: each packet is delivered once. A thread that is kept waiting,
        // here or when it sealed, while the others go on by more than the window loses its run, as it should; nobody gets it twice.
        var inOrder = new ConcurrentQueue<byte[]>(runs.OrderBy(r => BinaryPrimitives.ReadUInt64LittleEndian(r.AsSpan((9 * stride) + WireGuardWire.DataCounter))).SelectMany(static r => new[] { r, r.ToArray() }));
        await Task.WhenAll(Enumerable.Range(0, Threads).Select(_ => Task.Run(() =>
        {
            while (inOrder.TryDequeue(out var run))
                pair.Receive(run, stride);
        })));
        Assert.Equal((Threads * Each * 2) - (pair.Delivered - before), pair.B.Drops[WireGuardDrop.Replayed]);
        Assert.InRange(pair.Delivered - before, (Threads * Each) - (WireGuardLimits.ReplayWindow / 2), Threads * Each);
    }

    [Fact]
    public async Task Peers_come_and_go_while_others_send_and_nothing_is_thrown()
    {
        using var pair = new DirectPair();
        var options = new WireGuardPeerOptions { PublicKey = pair.A.PublicKey, AllowedIPs = pair.B.FindPeer(pair.A.PublicKey)!.AllowedIPs };
        var packet = Inner.IPv4("10.0.0.1", "10.0.0.2", new byte[80]);
        var done = false;
        var sending = Enumerable.Range(0, 2).Select(_ => Task.Run(() =>
        {
            while (!Volatile.Read(ref done))
                pair.A.Send(packet, pair.Now, pair);
        })).ToArray();
        for (var i = 0; i < 300; i++)
        {
            Assert.True(pair.B.RemovePeer(pair.B.FindPeer(pair.A.PublicKey)!));
            var delivered = pair.Delivered;
            Assert.Equal(0, pair.B.Sessions);
            Assert.NotNull(pair.B.AddPeer(options, pair.Now));
            pair.A.Advance(pair.Now, pair);
            Assert.InRange(pair.Delivered, delivered, int.MaxValue);
        }

        Volatile.Write(ref done, true);
        await Task.WhenAll(sending);
    }

    // One batch open within another, as when a packet that is delivered is answered at once.
    [Fact]
    public void Batches_within_each_other_keep_their_own_keys()
    {
        using var one = new DirectPair();
        using var two = new DirectPair();
        var packet = Inner.IPv4("10.0.0.1", "10.0.0.2", new byte[80]);
        byte[] first = new byte[200], second = new byte[200];
        int firstLength, secondLength;
        using (var outer = one.A.BeginSend(one.ToB, one.Now, one))
        {
            using (var inner = two.A.BeginSend(two.ToB, two.Now, two))
            {
                packet.CopyTo(second, 16);
                packet.CopyTo(first, 16);
                secondLength = inner.Seal(second, packet.Length);
                firstLength = outer.Seal(first, packet.Length);
            }
        }

        var before = (one.Delivered, two.Delivered);
        one.Receive(first.AsSpan(0, firstLength), 0);
        two.Receive(second.AsSpan(0, secondLength), 0);
        Assert.Equal((before.Item1 + 1, before.Item2 + 1), (one.Delivered, two.Delivered));
    }

    [Fact]
    public void A_batch_refuses_what_does_not_fit_and_any_use_after_its_end()
    {
        using var pair = new DirectPair();
        var batch = pair.A.BeginSend(pair.ToB, pair.Now, pair);
        var room = new byte[100];
        Assert.Equal(48 + 32, pair.A.SealedLength(33));
        Assert.Equal(1420 + 32, pair.A.SealedLength(1420)); // padding is not beyond the MTU
        try
        {
            batch.Seal(room.AsSpan(0, 79), 33);
            Assert.Fail("There was no room.");
        }
        catch (ArgumentOutOfRangeException)
        {
            Assert.Equal(80, batch.Seal(room, 33));
        }

        batch.Dispose();
        batch.Dispose();
        try
        {
            batch.Seal(room, 33);
            Assert.Fail("The batch was over.");
        }
        catch (ObjectDisposedException)
        {
            Assert.False(batch.IsOpen);
        }
    }
}
