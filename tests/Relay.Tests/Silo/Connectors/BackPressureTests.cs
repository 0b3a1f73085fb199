using Relay.Protocol.Tunnel;

namespace Relay.Tests.Silo.Connectors;

/// <summary>Alone: the heap is measured.</summary>
[CollectionDefinition(nameof(BackPressureTests), DisableParallelization = true)]
public sealed class BackPressureCollection;

/// <summary>A stream nobody reads holds up nobody else and fills no memory.</summary>
[Collection(nameof(BackPressureTests))]
public sealed class BackPressureTests(ConnectorGrid grid) : IClassFixture<ConnectorGrid>
{
    private const int MegaByte = 1024 * 1024;
    private const int Stalled = 6;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Streams_that_stall_leave_the_others_at_full_speed_and_the_heap_flat(bool up)
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        var connector = await grid.CreateConnectorAsync(silo);
        await using var agent = TestAgent.Start(connector.Token);
        await silo.AttachedAsync(connector);
        using var target = new TcpTarget();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        var stalled = new List<(DuplexStream User, System.Net.Sockets.Socket Target)>();
        var floods = new List<Task>();
        var sent = new long[Stalled];
        var chunk = new byte[64 * 1024];
        for (var i = 0; i < Stalled; i++)
        {
            var accepted = target.AcceptAsync();
            var pair = ((await silo.OpenAsync(target.Target, connector)).Stream, await accepted);
            stalled.Add(pair);
            floods.Add(FloodAsync(i, pair.Item1, pair.Item2));
        }

        var accepting = target.AcceptAsync();
        await using var good = (await silo.OpenAsync(target.Target, connector)).Stream;
        using var goodTarget = await accepting;
        var data = TcpTarget.Random(MegaByte, 1);
        var one = new byte[MegaByte];

        // Every window on the way is full: nobody sends any more, while megabytes go the same way, on the same processors.
        long before;
        do
        {
            before = sent.Sum();
            await CarryAsync(16);
        }
        while (before != sent.Sum());
        Assert.All(floods, f => Assert.False(f.IsCompleted));

        // Per stream: one window, the kernels' buffers, and what is being copied.
        Assert.True(before < Stalled * 24L * MegaByte, $"{before / MegaByte} MB accepted");
        var heap = GC.GetTotalMemory(forceFullCollection: true);

        await CarryAsync(64);
        Assert.Equal(before, sent.Sum());
        var grown = GC.GetTotalMemory(forceFullCollection: true) - heap;
        Assert.True(grown < 24 * MegaByte, $"the heap grew by {grown / MegaByte} MB");

        await stop.CancelAsync();
        foreach (var (user, socket) in stalled)
        {
            await user.DisposeAsync();
            socket.Dispose();
        }

        await Task.WhenAll(floods);

        async Task CarryAsync(int megaBytes)
        {
            for (var i = 0; i < megaBytes; i++)
            {
                if (up)
                {
                    var write = good.WriteAsync(data, TestContext.Current.CancellationToken);
                    await ReadExactlyAsync(goodTarget, one);
                    await write;
                }
                else
                {
                    var write = TcpTarget.SendAsync(goodTarget, data);
                    await good.ReadExactlyAsync(one, TestContext.Current.CancellationToken);
                    await write;
                }

                Assert.Equal(data, one);
            }
        }

        async Task FloodAsync(int index, DuplexStream user, System.Net.Sockets.Socket socket)
        {
            try
            {
                while (true)
                {
                    if (up)
                        await user.WriteAsync(chunk, stop.Token);
                    else
                        await socket.SendAsync(chunk, stop.Token);
                    Interlocked.Add(ref sent[index], chunk.Length);
                }
            }
            catch (Exception e) when (e is OperationCanceledException or IOException or System.Net.Sockets.SocketException or ObjectDisposedException)
            {
                // The test is over.
            }
        }
    }

    private static async Task ReadExactlyAsync(System.Net.Sockets.Socket socket, byte[] buffer)
    {
        for (var at = 0; at < buffer.Length;)
            at += await socket.ReceiveAsync(buffer.AsMemory(at), TestContext.Current.CancellationToken);
    }
}
