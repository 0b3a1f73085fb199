using System.Net.Sockets;
using Relay.Gateway.WireGuard.Flows;
using Relay.Protocol.Tunnel;
using Relay.Tests.Protocol.Tunnel;

namespace Relay.Tests.Gateway.WireGuard;

/// <summary>A UDP flow's way over a stream: TcpPair.Here is the gateway's end.</summary>
public sealed class DatagramStreamTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Datagrams_come_out_as_they_were_put_in_both_ways()
    {
        using var pair = await TcpPair.CreateAsync();
        await using var pipe = new DatagramStream(pair.Here);
        byte[][] datagrams = [[], [1], new byte[1472], new byte[DatagramFraming.MaxBytes]];
        foreach (var datagram in datagrams)
        {
            Random.Shared.NextBytes(datagram);
            Assert.True(pipe.TrySend(datagram));
        }

        Assert.False(pipe.TrySend(new byte[DatagramFraming.MaxBytes + 1]));
        // What comes out is what goes back in.
        var stream = new byte[datagrams.Sum(d => d.Length + 2)];
        await using (var far = new NetworkStream(pair.There))
            await far.ReadExactlyAsync(stream, Cancel);
        await pair.There.SendAsync(stream, Cancel);
        pair.There.Shutdown(SocketShutdown.Send);
        var buffer = new byte[DatagramFraming.MaxBytes];
        foreach (var datagram in datagrams)
        {
            Assert.True(await pipe.WaitToReceiveAsync(Cancel));
            Assert.True(pipe.TryReceive(buffer, out var length));
            Assert.Equal(datagram, buffer[..length]);
        }

        Assert.False(pipe.TryReceive(buffer, out _));
        Assert.False(await pipe.WaitToReceiveAsync(Cancel));
    }

    [Fact]
    public async Task A_stream_that_is_congested_drops_and_goes_on_afterwards()
    {
        using var pair = await TcpPair.CreateAsync();
        await using var pipe = new DatagramStream(pair.Here);
        var (sent, dropped) = (0, 0);
        var datagram = new byte[1400];
        // Nobody reads: what the kernel's buffers and one queue hold is all that is ever taken.
        while (dropped < 1000 && sent < 100_000)
        {
            if (pipe.TrySend(datagram)) sent++;
            else dropped++;
        }

        Assert.Equal(1000, dropped);
        var buffer = new byte[65536];
        var read = 0;
        while (read < sent * 1402) read += await pair.There.ReceiveAsync(buffer, Cancel);
        Assert.Equal(sent * 1402, read);
        Assert.True(pipe.TrySend([1, 2, 3]));
        Assert.Equal(5, await pair.There.ReceiveAsync(buffer, Cancel));
        Assert.Equal([0, 3, 1, 2, 3], buffer[..5]);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_reset_and_what_is_no_datagram_are_errors(bool reset)
    {
        using var pair = await TcpPair.CreateAsync();
        await using var pipe = new DatagramStream(pair.Here);
        if (reset) pair.There.LingerState = new LingerOption(true, 0);
        else await pair.There.SendAsync(new byte[] { 0xff, 0xff }, Cancel);
        if (reset) pair.There.Close();
        await Assert.ThrowsAsync<IOException>(async () => await pipe.WaitToReceiveAsync(Cancel));
    }
}
