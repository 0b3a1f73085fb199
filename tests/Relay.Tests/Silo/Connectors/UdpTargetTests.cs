using System.Net;
using System.Net.Sockets;
using Relay.Protocol.Tunnel;
using Relay.Silo.Connectors;
using Relay.TestKit;

namespace Relay.Tests.Silo.Connectors;

/// <summary>Streams of datagrams to UDP services, over a real agent and, where it is attached to another silo, over both.</summary>
public sealed class UdpTargetTests(ConnectorGrid grid) : IClassFixture<ConnectorGrid>
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Datagrams_of_every_length_go_both_ways_and_either_end_ends_the_stream()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        await using var other = await TestSilo.StartAsync(grid, "silo-b");
        var connector = await grid.CreateConnectorAsync(silo);
        await using var agent = TestAgent.Start(connector.Token);
        await silo.AttachedAsync(connector);
        using var echo = NewService();
        _ = EchoAsync(echo);
        foreach (var opener in new[] { silo, other })
        {
            var routed = await opener.OpenAsync(TestSilo.Grant(connector.Id), Target(connector, PortOf(echo)));
            await using var stream = routed.Stream;
            using var reader = new DatagramReader();
            foreach (var length in new[] { 0, 1, 1472, DatagramFraming.MaxBytes })
            {
                var sent = TcpTarget.Random(length, length);
                await SendAsync(stream, sent);
                Assert.Equal(sent, await ReceiveAsync(stream, reader));
            }

            // Several in one write are several datagrams.
            await stream.WriteAsync(Enumerable.Range(1, 20).SelectMany(i => Frame(TcpTarget.Random(i * 10, i))).ToArray(), Cancel);
            for (var i = 1; i <= 20; i++)
                Assert.Equal(i * 10, (await ReceiveAsync(stream, reader)).Length);
            await stream.CompleteWritesAsync(Cancel);
            Assert.Equal(0, await stream.ReadAsync(new byte[10], Cancel));
        }
    }

    [Fact]
    public async Task A_target_that_refuses_resets_the_stream_but_not_when_it_has_answered_before()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        var connector = await grid.CreateConnectorAsync(silo);
        await using var agent = TestAgent.Start(connector.Token);
        await silo.AttachedAsync(connector);
        int port;
        using (var gone = NewService())
            port = PortOf(gone);
        var refused = await silo.OpenAsync(TestSilo.Grant(connector.Id), Target(connector, port));
        await using (refused.Stream)
        {
            await SendAsync(refused.Stream, [1]);
            await Assert.ThrowsAsync<IOException>(() => refused.Stream.ReadAsync(new byte[10], Cancel).AsTask().WaitAsync(TimeSpan.FromSeconds(60), Cancel));
        }

        var service = NewService(port);
        _ = EchoAsync(service);
        var routed = await silo.OpenAsync(TestSilo.Grant(connector.Id), Target(connector, port));
        await using var stream = routed.Stream;
        using var reader = new DatagramReader();
        await SendAsync(stream, [1]);
        Assert.Equal([1], await ReceiveAsync(stream, reader));
        service.Dispose();
        await SendAsync(stream, [2]);
        using var again = NewService(port);
        _ = EchoAsync(again);
        // Until the agent's kernel has told of the refusal the datagram is lost; then one arrives.
        await using var sending = new Timer(_ => stream.WriteAsync(Frame([3])).AsTask().ContinueWith(_ => { }, TaskScheduler.Default), null, 0, 200);
        Assert.Contains(await ReceiveAsync(stream, reader), new byte[][] { [2], [3] });
    }

    [Fact]
    public async Task What_is_no_datagram_resets_the_stream()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        var connector = await grid.CreateConnectorAsync(silo);
        await using var agent = TestAgent.Start(connector.Token);
        await silo.AttachedAsync(connector);
        using var service = NewService();
        var routed = await silo.OpenAsync(TestSilo.Grant(connector.Id), Target(connector, PortOf(service)));
        await using var stream = routed.Stream;
        await stream.WriteAsync(new byte[] { 0xff, 0xe4, 1 }, Cancel);
        await Assert.ThrowsAsync<IOException>(() => stream.ReadAsync(new byte[10], Cancel).AsTask().WaitAsync(TimeSpan.FromSeconds(60), Cancel));
    }

    [Fact]
    public async Task A_check_fails_only_when_the_target_refuses_and_a_failing_one_comes_last()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        var connector = await grid.CreateConnectorAsync(silo);
        await using var agent = TestAgent.Start(connector.Token);
        await silo.AttachedAsync(connector);
        using var silent = NewService();
        int port;
        using (var gone = NewService())
            port = PortOf(gone);
        var (well, dead) = (StreamTarget.Udp("127.0.0.1", PortOf(silent)), StreamTarget.Udp("127.0.0.1", port));
        silo.Paths.Failed(connector.Id, dead, new StreamOpenException(StreamOpenError.Refused, "test"));
        silo.Paths.Failed(connector.Id, well, new StreamOpenException(StreamOpenError.Refused, "test"));
        // TCP on the same port is another matter.
        Assert.True(silo.Paths.IsHealthy(connector.Id, StreamTarget.Tcp("127.0.0.1", port)));
        await silo.Checks.CheckAsync(Cancel);
        Assert.True(silo.Paths.IsHealthy(connector.Id, well));
        Assert.False(silo.Paths.IsHealthy(connector.Id, dead));

        var socket = Guid.NewGuid();
        var routed = await silo.OpenAsync(TestSilo.Grant(socket), new ConnectorTarget(socket, [new ConnectorReference(connector.Id, connector.Name)], [dead, well]));
        await routed.Stream.DisposeAsync();
        Assert.Equal(well, routed.Target);
        // That a socket could be opened for the dead one, too, would prove nothing.
        silo.Paths.Opened(connector.Id, dead);
        Assert.False(silo.Paths.IsHealthy(connector.Id, dead));
    }

    [Fact]
    public void An_agent_that_does_not_understand_is_said_to_be_too_old()
    {
        using var answer = new HttpResponseMessage(HttpStatusCode.BadRequest);
        answer.Headers.Add(TunnelWire.ErrorCodeHeader, "failed");
        answer.Headers.Add(TunnelWire.ErrorHeader, Uri.EscapeDataString("the request names no session, epoch or target"));
        var refusal = DuplexHttpStream.Refusal(answer);
        var said = StreamRouter.Explain(refusal, StreamTarget.Udp("h", 1));
        Assert.Equal(StreamOpenError.Unsupported, said.Error);
        Assert.Contains("version that does not carry UDP", said.Message, StringComparison.Ordinal);
        Assert.Same(refusal, StreamRouter.Explain(refusal, StreamTarget.Tcp("h", 1)));
    }

    private static ConnectorTarget Target(TestConnector connector, int port) =>
        new(connector.Id, [new ConnectorReference(connector.Id, connector.Name)], StreamTarget.Udp("127.0.0.1", port));

    private static Socket NewService(int port = 0)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
        return socket;
    }

    private static int PortOf(Socket socket) => ((IPEndPoint)socket.LocalEndPoint!).Port;

    private static async Task EchoAsync(Socket socket)
    {
        var buffer = new byte[65536];
        try
        {
            while (true)
            {
                var received = await socket.ReceiveFromAsync(buffer, new IPEndPoint(IPAddress.Any, 0), Cancel);
                await socket.SendToAsync(buffer.AsMemory(0, received.ReceivedBytes), received.RemoteEndPoint, Cancel);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // The end of the service.
        }
    }

    private static byte[] Frame(byte[] datagram) => [(byte)(datagram.Length >> 8), (byte)datagram.Length, .. datagram];

    private static ValueTask SendAsync(DuplexStream stream, byte[] datagram) => stream.WriteAsync(Frame(datagram), Cancel);

    private static async Task<byte[]> ReceiveAsync(DuplexStream stream, DatagramReader reader)
    {
        while (true)
        {
            if (reader.TryRead(out var datagram) == DatagramReading.Datagram)
                return datagram.ToArray();
            var read = await stream.ReadAsync(reader.Room(), Cancel).AsTask().WaitAsync(TimeSpan.FromSeconds(60), Cancel);
            Assert.NotEqual(0, read);
            reader.Advance(read);
        }
    }
}
