using System.Net;
using Relay.Protocol.WireGuard;

namespace Relay.Tests.Protocol.WireGuard;

/// <summary>What packets and peers cost in memory. Durations belong to bench/. Alone: the heap is the process's.</summary>
[Collection(nameof(CostTests))]
[CollectionDefinition(nameof(CostTests), DisableParallelization = true)]
public sealed class CostTests
{
    [Fact]
    public void No_packet_allocates_in_either_direction()
    {
        using var pair = new DirectPair();
        pair.Send(1000); // warm: contexts of the thread, code
        var before = GC.GetAllocatedBytesForCurrentThread();
        var received = pair.Send(10_000);
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.Equal(10_000, received);
        // What a collection meanwhile takes of this thread's share of the heap counts as allocated.
        Assert.InRange(allocated, 0, 32 * 1024);
    }

    [Fact]
    public void Send_of_single_packets_does_not_allocate_either()
    {
        using var pair = new DirectPair();
        var packet = Inner.IPv4("10.0.0.1", "10.0.0.2", new byte[1000]);
        for (var i = 0; i < 100; i++)
            pair.A.Send(packet, pair.Now, pair);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 10_000; i++)
            pair.A.Send(packet, pair.Now, pair);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 32 * 1024);
    }

    [Fact]
    public void A_hundred_thousand_peers_at_rest_take_less_than_4_KiB_each()
    {
        const int Count = 100_000;
        using var device = new WireGuardDevice(Sim.Options(1, 1));
        var before = GC.GetTotalMemory(forceFullCollection: true);
        Add(device, Count);
        var each = (GC.GetTotalMemory(forceFullCollection: true) - before) / Count;
        Assert.InRange(each, 100, 4096);
        Assert.Equal(Count, device.Peers.Count);
        GC.KeepAlive(device);
    }

    private static void Add(WireGuardDevice device, int count)
    {
        var key = new byte[32];
        for (var i = 0; i < count; i++)
        {
            BitConverter.TryWriteBytes(key, i + 1);
            device.AddPeer(
                new()
                {
                    PublicKey = new WireGuardPublicKey(key),
                    AllowedIPs = [new IPNetwork(new IPAddress([100, (byte)(124 + (i >> 16)), (byte)(i >> 8), (byte)i]), 32), new IPNetwork(new IPAddress([0xfd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, (byte)(i >> 16), (byte)(i >> 8), (byte)i]), 128)],
                },
                default);
        }
    }
}
