using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Relay.Gateway.WireGuard.Native;
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

        Assert.Equal(sent, Receive(receiver, sent.Length, source =>
        {
            Assert.Equal((to, sending.LocalEndPoint.Port), (source.ToIPEndPoint()!.Address.ToString(), source.Port));
            Assert.NotEqual(LocalAddresses.Any, source.Path);
        }));
        Assert.Equal(0, sender.Fallbacks);
    }

    /// <summary>EINVAL: on the way is an interface that is narrower than a datagram. It fragments them, one by one.</summary>
    [Theory]
    [InlineData(AddressFamily.InterNetwork, 600)]
    [InlineData(AddressFamily.InterNetworkV6, 1280)]
    public async Task What_the_kernel_does_not_cut_for_a_narrow_path_is_sent_one_by_one_and_cut_for_others(AddressFamily family, int mtu)
    {
        Assert.SkipUnless(NetworkNamespace.IsAvailable, "Needs root.");
        await using var network = await NetworkNamespace.CreateAsync();
        var loopback = new IPEndPoint(family == AddressFamily.InterNetwork ? IPAddress.Loopback : IPAddress.IPv6Loopback, 0);
        await network.RunAsync("ip", "link", "set", "lo", "mtu", $"{mtu}");
        using var receiving = network.Run(() => UdpSocket.Open(loopback, shared: false));
        using var sending = network.Run(() => UdpSocket.Open(loopback, shared: false));
        using var receiver = new UdpReceiver(receiving, new LocalAddresses());
        using var sender = new UdpSender(sending, new LocalAddresses());
        var target = new WireGuardEndpoint(receiving.LocalEndPoint);
        // Two runs that can not be cut, a datagram alone, and a run that can.
        var narrow = Datagrams([.. Enumerable.Repeat(1452, 10), 1400, .. Enumerable.Repeat(1452, 5), 1452, 30, 1452]);
        Assert.Equal(narrow, Send(sender, target, receiver, narrow));
        var refused = sender.Fallbacks;
        Assert.True(refused > 1, $"{refused}");
        var shorter = Datagrams([.. Enumerable.Repeat(500, 20)]);
        Assert.Equal(shorter, Send(sender, target, receiver, shorter));
        Assert.Equal(refused, sender.Fallbacks);
    }

    /// <summary>EIO: the interface can not do what cutting takes, and never will.</summary>
    [Fact]
    public void After_a_kernel_has_refused_to_cut_at_all_nothing_is_given_to_it_to_be_cut()
    {
        using var receiving = UdpSocket.Open(new IPEndPoint(IPAddress.Loopback, 0), shared: false);
        using var sending = UdpSocket.Open(new IPEndPoint(IPAddress.Loopback, 0), shared: false);
        using var receiver = new UdpReceiver(receiving, new LocalAddresses());
        var kernel = new RefusingKernel();
        using var sender = kernel.NewSender(sending);
        var target = new WireGuardEndpoint(receiving.LocalEndPoint);
        // A datagram alone, then runs: 45 of 1452 bytes are as long as one may be, 5 are left; 8000 and 700; 29 and a last one. What is before and
        // behind a refused one goes, too, and once.
        var first = Datagrams([100, .. Enumerable.Repeat(1452, 50), 8000, .. Enumerable.Repeat(700, 30), 1]);
        Assert.Equal(first, Send(sender, target, receiver, first));
        Assert.Equal((4, 4), (kernel.Refused, sender.Fallbacks));
        var second = Datagrams([.. Enumerable.Repeat(1452, 100)]);
        Assert.Equal(second, Send(sender, target, receiver, second));
        Assert.Equal((4, 4), (kernel.Refused, sender.Fallbacks));
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
        Assert.Equal(1, ReceiveSome(asked));
        asked.Read(0, out var source, out _);
        answering.Add(source, "answer"u8);
        answering.Flush();
        Assert.Equal(1, ReceiveSome(answered));
        Assert.Equal("answer"u8, answered.Read(0, out var from, out _));
        Assert.Equal("127.7.8.9", from.ToIPEndPoint()!.Address.ToString());
    }

    private static byte[][] Datagrams(int[] lengths) => [.. lengths.Select((length, i) => Enumerable.Repeat((byte)i, length).ToArray())];

    private static List<byte[]> Send(UdpSender sender, WireGuardEndpoint to, UdpReceiver receiver, byte[][] datagrams)
    {
        foreach (var datagram in datagrams) sender.Add(to, datagram);
        sender.Flush();
        return Receive(receiver, datagrams.Length, _ => { });
    }

    /// <summary>Messages of the first receive that has any.</summary>
    private static int ReceiveSome(UdpReceiver receiver)
    {
        var messages = 0;
        for (var turn = 0; turn < 200 && messages == 0; turn++) messages = receiver.Receive();
        return messages;
    }

    /// <summary>So many datagrams, or fewer when no more come; each receive waits a quarter of a second at most.</summary>
    private static List<byte[]> Receive(UdpReceiver receiver, int count, Action<WireGuardEndpoint> from)
    {
        var received = new List<byte[]>();
        for (var turn = 0; turn < 200 && received.Count < count; turn++)
        {
            var messages = receiver.Receive();
            for (var i = 0; i < messages; i++)
            {
                var datagrams = receiver.Read(i, out var source, out var segmentLength);
                from(source);
                if (segmentLength == 0) segmentLength = datagrams.Length;
                for (; !datagrams.IsEmpty; datagrams = datagrams[Math.Min(segmentLength, datagrams.Length)..])
                    received.Add(datagrams[..Math.Min(segmentLength, datagrams.Length)].ToArray());
            }
        }

        return received;
    }

    /// <summary>sendmmsg(2) as it is where UDP_SEGMENT fails with EIO: messages before the first such one are sent.</summary>
    private sealed unsafe class RefusingKernel
    {
        public int Refused { get; private set; }

        public UdpSender NewSender(UdpSocket socket) => new(socket, new LocalAddresses(), SendMessages);

        private int SendMessages(SafeHandle socket, MultiMessage* messages, uint count, int flags)
        {
            var plain = 0u;
            while (plain < count && !IsToBeCut(messages[plain].Header)) plain++;
            if (plain > 0) return LibC.SendMessages(socket, messages, plain, flags);
            Refused++;
            Marshal.SetLastPInvokeError(LibC.EIO);
            return -1;
        }

        private static bool IsToBeCut(in MessageHeader header)
        {
            var control = new ControlReader(new ReadOnlySpan<byte>(header.Control, (int)header.ControlLength));
            while (control.MoveNext())
            {
                if ((control.Level, control.Type) == (SocketOptions.SOL_UDP, SocketOptions.UDP_SEGMENT)) return true;
            }

            return false;
        }
    }
}
