using System.Net;
using Relay.Gateway.WireGuard.Udp;
using Relay.Protocol.WireGuard;

namespace Relay.Tests.Gateway.WireGuard;

public sealed class UdpBatchTests
{
    [Theory]
    [InlineData("127.0.0.1", "127.0.0.1", true)]
    [InlineData("127.0.0.1", "127.0.0.1", false)]
    [InlineData("::", "::1", true)]
    [InlineData("::", "127.0.0.1", true)]
    [InlineData("::", "127.0.0.1", false)]
    public void Every_datagram_of_every_length_arrives_in_order(string listen, string to, bool offload)
    {
        using var receiving = UdpSocket.Open(new IPEndPoint(IPAddress.Parse(listen), 0), shared: false, offload);
        using var sending = UdpSocket.Open(new IPEndPoint(IPAddress.Parse(listen), 0), shared: false, offload);
        var addresses = new LocalAddresses();
        using var receiver = new UdpReceiver(receiving, addresses);
        using var sender = new UdpSender(sending, addresses);
        // Runs of one length with a shorter end, single ones, more of one length than a message may have.
        int[] lengths = [.. Enumerable.Repeat(1452, 100), 700, 700, 1, .. Enumerable.Repeat(60, 200), 1400, 1452, 8000];
        var target = new WireGuardEndpoint(new IPEndPoint(IPAddress.Parse(to), receiving.LocalEndPoint.Port));
        var sent = lengths.Select((length, i) => Enumerable.Repeat((byte)i, length).ToArray()).ToArray();
        foreach (var datagram in sent) sender.Add(target, datagram);
        sender.Flush();

        var received = new List<byte[]>();
        for (var turn = 0; turn < 200 && received.Count < sent.Length; turn++)
        {
            var messages = receiver.Receive();
            for (var i = 0; i < messages; i++)
            {
                var datagrams = receiver.Read(i, out var source, out var segmentLength);
                Assert.Equal((to, sending.LocalEndPoint.Port), (source.ToIPEndPoint()!.Address.ToString(), source.Port));
                Assert.NotEqual(LocalAddresses.Any, source.Path);
                if (segmentLength == 0) segmentLength = datagrams.Length;
                for (; !datagrams.IsEmpty; datagrams = datagrams[Math.Min(segmentLength, datagrams.Length)..])
                    received.Add(datagrams[..Math.Min(segmentLength, datagrams.Length)].ToArray());
            }
        }

        Assert.Equal(sent, received);
        Assert.Equal(0, sender.Fallbacks);
    }

    [Fact]
    public void An_answer_leaves_from_the_address_that_was_asked()
    {
        using var gateway = UdpSocket.Open(new IPEndPoint(IPAddress.IPv6Any, 0), shared: false);
        using var device = UdpSocket.Open(new IPEndPoint(IPAddress.Parse("127.0.0.1"), 0), shared: false);
        var (here, there) = (new LocalAddresses(), new LocalAddresses());
        using var asking = new UdpSender(device, there);
        using var asked = new UdpReceiver(gateway, here);
        using var answering = new UdpSender(gateway, here);
        using var answered = new UdpReceiver(device, there);
        asking.Add(new WireGuardEndpoint(new IPEndPoint(IPAddress.Parse("127.7.8.9"), gateway.LocalEndPoint.Port)), "question"u8);
        asking.Flush();
        Assert.Equal(1, asked.Receive());
        asked.Read(0, out var source, out _);
        answering.Add(source, "answer"u8);
        answering.Flush();
        Assert.Equal(1, answered.Receive());
        Assert.Equal("answer"u8, answered.Read(0, out var from, out _));
        Assert.Equal("127.7.8.9", from.ToIPEndPoint()!.Address.ToString());
    }
}
