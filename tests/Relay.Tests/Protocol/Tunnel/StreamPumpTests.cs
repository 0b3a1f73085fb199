using System.Net.Sockets;
using Relay.Protocol.Tunnel;

namespace Relay.Tests.Protocol.Tunnel;

/// <summary>Alone: allocations are counted for the process.</summary>
[CollectionDefinition(nameof(StreamPumpTests), DisableParallelization = true)]
public sealed class StreamPumpCollection;

/// <summary>The pump between two TCP connections: user = left.There, target = right.There.</summary>
[Collection(nameof(StreamPumpTests))]
public sealed class StreamPumpTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Each_direction_ends_alone_and_the_bytes_are_counted()
    {
        using var left = await TcpPair.CreateAsync();
        using var right = await TcpPair.CreateAsync();
        var counters = new StreamPumpCounters();
        var pump = StreamPump.RunAsync(left.Here, right.Here, counters, Cancel);
        await left.There.SendAsync(new byte[1000], Cancel);
        left.There.Shutdown(SocketShutdown.Send);
        Assert.Equal(1000, await ReceiveAllAsync(right.There));
        Assert.False(pump.IsCompleted);
        await right.There.SendAsync(new byte[2000], Cancel);
        right.There.Shutdown(SocketShutdown.Send);
        Assert.Equal(2000, await ReceiveAllAsync(left.There));
        Assert.Equal(StreamPumpEnding.Completed, await pump);
        Assert.Equal((1000, 2000), (counters.FirstToSecond, counters.SecondToFirst));
    }

    [Theory]
    [InlineData(true, StreamPumpEnding.FirstAborted)]
    [InlineData(false, StreamPumpEnding.SecondAborted)]
    public async Task A_reset_of_one_resets_the_other(bool first, StreamPumpEnding expected)
    {
        using var left = await TcpPair.CreateAsync();
        using var right = await TcpPair.CreateAsync();
        var pump = StreamPump.RunAsync(left.Here, right.Here, cancellationToken: Cancel);
        var (resetting, other) = first ? (left.There, right.There) : (right.There, left.There);
        resetting.LingerState = new LingerOption(true, 0);
        resetting.Close();
        var error = await Assert.ThrowsAsync<SocketException>(() => ReceiveAllAsync(other));
        Assert.Equal(SocketError.ConnectionReset, error.SocketErrorCode);
        Assert.Equal(expected, await pump);
    }

    [Fact]
    public async Task Cancelling_resets_both()
    {
        using var left = await TcpPair.CreateAsync();
        using var right = await TcpPair.CreateAsync();
        using var stop = new CancellationTokenSource();
        var pump = StreamPump.RunAsync(left.Here, right.Here, cancellationToken: stop.Token);
        await stop.CancelAsync();
        Assert.Equal(StreamPumpEnding.Cancelled, await pump);
        await Assert.ThrowsAsync<SocketException>(() => ReceiveAllAsync(left.There));
        await Assert.ThrowsAsync<SocketException>(() => ReceiveAllAsync(right.There));
    }

    [Fact]
    public async Task Moving_bytes_allocates_next_to_nothing()
    {
        using var left = await TcpPair.CreateAsync();
        using var right = await TcpPair.CreateAsync();
        var pump = StreamPump.RunAsync(left.Here, right.Here, cancellationToken: Cancel);
        var chunk = new byte[64 * 1024];
        await ThroughAsync(left.There, right.There, chunk, 50);

        // The test's own sends and receives, and whatever else runs in this process, are in each figure: they only add, so the least counts.
        const int Windows = 10, Rounds = 100;
        var least = long.MaxValue;
        for (var i = 0; i < Windows; i++)
        {
            var before = GC.GetTotalAllocatedBytes(precise: true);
            await ThroughAsync(left.There, right.There, chunk, Rounds);
            least = Math.Min(least, (GC.GetTotalAllocatedBytes(precise: true) - before - chunk.Length) / Rounds);
        }

        Assert.True(least < 4096, $"{least} bytes for {chunk.Length} moved");
        left.There.Shutdown(SocketShutdown.Send);
        right.There.Shutdown(SocketShutdown.Send);
        Assert.Equal(StreamPumpEnding.Completed, await pump);
    }

    [Fact]
    public async Task A_cancelled_write_leaves_no_torn_stream()
    {
        using var pair = await TcpPair.CreateAsync();
        using var stop = new CancellationTokenSource();
        var chunk = new byte[1024 * 1024];
        var writing = Task.Run(
            async () =>
            {
                while (true)
                    await pair.Here.WriteAsync(chunk, stop.Token);
            },
            Cancel);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => writing);
        Assert.True(pair.Here.Aborted.IsCancellationRequested);
        await Assert.ThrowsAsync<IOException>(async () => await pair.Here.WriteAsync(chunk, Cancel));
    }

    private static async Task ThroughAsync(Socket from, Socket to, byte[] chunk, int rounds)
    {
        var received = new byte[chunk.Length];
        for (var i = 0; i < rounds; i++)
        {
            for (var at = 0; at < chunk.Length;)
                at += await from.SendAsync(chunk.AsMemory(at), Cancel);
            for (var at = 0; at < chunk.Length;)
                at += await to.ReceiveAsync(received.AsMemory(at), Cancel);
        }
    }

    private static async Task<int> ReceiveAllAsync(Socket socket)
    {
        var buffer = new byte[64 * 1024];
        var total = 0;
        while (await socket.ReceiveAsync(buffer, Cancel) is > 0 and var read)
            total += read;
        return total;
    }
}
