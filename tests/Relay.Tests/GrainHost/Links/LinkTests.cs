using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Relay.GrainHost.Hosting;
using Relay.GrainHost.Links;
using Relay.GrainHost.Membership;
using Relay.GrainHost.Serialization;
using Relay.Tests.GrainHost.Cluster;
using Xunit;

namespace Relay.Tests.GrainHost.Links;

public sealed class LinkTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Silos_call_each_other_over_TCP_and_a_lost_connection_is_dialled_anew()
    {
        var table = new InMemoryMembershipTable(TimeProvider.System);
        await using var one = await TcpSilo.StartAsync(table);
        await using var two = await TcpSilo.StartAsync(table);
        await one.Silo.Host.Membership.RefreshAsync(Cancel);
        var key = Placing.KeyOn(two.Silo, one.Silo);
        var grain = one.Silo.Grains.GetGrain<ILifeGrain>(key);
        var data = new byte[500_000];
        new Random(1).NextBytes(data);
        var echoes = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => grain.EchoBytesAsync(data)));
        Assert.All(echoes, echo => Assert.Equal(data, echo));
        var hanging = one.Silo.Grains.GetGrain<ILifeGrain>(Placing.KeysOn(two.Silo, one.Silo).ElementAt(1)).HangAsync();
        await grain.CountAsync();
        two.DropConnections();
        await Assert.ThrowsAsync<Orleans.Runtime.SiloUnavailableException>(() => hanging);
        Assert.Equal(2, await grain.CountAsync());
    }

    [Fact]
    public async Task A_silo_that_cannot_be_dialled_is_reported_at_once()
    {
        // No probe has made a link before: over one that is cut, the call would be lost and not refused.
        await using var cluster = new TestCluster { Configure = o => o.ProbeInterval = TimeSpan.FromHours(1) };
        var silos = await cluster.StartAsync("one", "two");
        var grain = silos[0].Grains.GetGrain<ILifeGrain>(Placing.KeyOn(silos[1], silos[0]));
        cluster.Cut("two");
        var failure = await Assert.ThrowsAsync<Orleans.Runtime.SiloUnavailableException>(grain.CountAsync);
        Assert.Contains("two:1 cannot be reached", failure.Message, StringComparison.Ordinal);
        cluster.Mend("two");
        Assert.Equal(1, await grain.CountAsync());
    }

    [Fact]
    public async Task A_dialler_that_is_no_member_or_has_another_name_is_refused()
    {
        await using var cluster = new TestCluster();
        var silos = await cluster.StartAsync("one", "two");
        var one = silos[0].Host;
        Assert.Equal("It is no member.", await DialAsync(one, new Handshake("nine:1", Guid.NewGuid(), one.Address, one.Incarnation), "nine"));
        Assert.Equal("Its certificate is for 'mallory'.", await DialAsync(one, new Handshake("two:1", silos[1].Host.Incarnation, one.Address, one.Incarnation), "mallory"));
        Assert.Equal("It is another start of that silo.", await DialAsync(one, new Handshake("two:1", silos[1].Host.Incarnation, one.Address, Guid.NewGuid()), "two"));
        Assert.Null(await DialAsync(one, new Handshake("two:1", silos[1].Host.Incarnation, one.Address, one.Incarnation), "two"));
    }

    [Theory]
    [InlineData("474554202f20485454502f312e310d0a0d0a")] // "GET / HTTP/1.1"
    [InlineData("00000000")] // a frame of no bytes
    [InlineData("ffffffff01")] // a frame of 4 GiB
    [InlineData("0500000001524c4702")] // another protocol version
    [InlineData("0100000004")] // a call before the hello
    [InlineData("050000000152")] // cut short
    public async Task Bytes_that_are_no_hello_end_the_link_and_nothing_else(string hex)
    {
        await using var cluster = new TestCluster();
        var silo = await cluster.StartAsync();
        var (one, other) = MemoryDuplex.Create();
        var accepted = silo.Host.AcceptAsync(other, "one", Cancel);
        await one.WriteAsync(Convert.FromHexString(hex), Cancel);
        await one.DisposeAsync();
        await accepted;
        Assert.Equal(1, await silo.Grains.GetGrain<ILifeGrain>("a").CountAsync());
    }

    [Fact]
    public async Task Garbage_after_the_hello_ends_the_link_and_nothing_else()
    {
        var random = new Random(7);
        await using var cluster = new TestCluster();
        var silos = await cluster.StartAsync("one", "two");
        for (var round = 0; round < 200; round++)
        {
            var (mine, other) = MemoryDuplex.Create();
            var accepted = silos[0].Host.AcceptAsync(other, "two", Cancel);
            await mine.WriteAsync(new Handshake("two:1", silos[1].Host.Incarnation, "one:1", silos[0].Host.Incarnation).ToFrame(), Cancel);
            var reader = new FrameReader(mine);
            Assert.Null(Handshake.ParseAnswer((await reader.ReadFrameAsync(1024, Cancel))!));
            var garbage = new byte[random.Next(1, 200)];
            random.NextBytes(garbage);
            // Half of them with a sound length, so that the frame itself is looked at.
            if (round % 2 == 0) BitConverter.TryWriteBytes(garbage.AsSpan(), Math.Max(1, garbage.Length - 4));
            if (round % 4 == 0 && garbage.Length > 4) garbage[4] = (byte)FrameKind.Call;
            await mine.WriteAsync(garbage, Cancel);
            await mine.DisposeAsync();
            await accepted;
        }

        Assert.Equal(1, await silos[1].Grains.GetGrain<ILifeGrain>(Placing.KeyOn(silos[0], silos[1])).CountAsync());
    }

    [Fact]
    public async Task Frames_arrive_whole_however_the_stream_is_cut()
    {
        var random = new Random(3);
        var frames = Enumerable.Range(1, 300).Select(i => new byte[random.Next(1, i % 50 == 0 ? 100_000 : 300)]).ToArray();
        foreach (var frame in frames) random.NextBytes(frame);
        var (one, other) = MemoryDuplex.Create();
        var writing = Task.Run(
            async () =>
            {
                var all = frames.SelectMany(f => BitConverter.GetBytes(f.Length).Concat(f)).ToArray();
                for (var at = 0; at < all.Length;)
                {
                    var count = Math.Min(all.Length - at, random.Next(1, 3000));
                    await one.WriteAsync(all.AsMemory(at, count), Cancel);
                    at += count;
                }
            },
            Cancel);
        var reader = new FrameReader(other);
        foreach (var frame in frames) Assert.Equal(frame, await reader.ReadFrameAsync(100_000, Cancel));
        await writing;
        await one.DisposeAsync();
        Assert.Null(await reader.ReadFrameAsync(100_000, Cancel));
    }

    [Fact]
    public async Task A_frame_above_the_limit_is_refused_by_its_length_alone()
    {
        var (one, other) = MemoryDuplex.Create();
        await one.WriteAsync(BitConverter.GetBytes(2_000_000), Cancel);
        await Assert.ThrowsAsync<WireFormatException>(async () => await new FrameReader(other).ReadFrameAsync(1_000_000, Cancel));
    }

    [Fact]
    public async Task A_sender_whose_peer_does_not_read_makes_its_callers_wait_and_sends_all_in_the_end()
    {
        var (one, other) = MemoryDuplex.Create();
        var sender = new FrameSender(one, maxQueuedBytes: 256 * 1024, _ => { });
        var sent = 0;
        var frame = new byte[1004];
        BitConverter.TryWriteBytes(frame, 1000);
        Task room;
        do
        {
            // The write that is under way may still make room.
            while (sender.TrySend(frame)) sent++;
            room = sender.WaitForRoomAsync();
        }
        while (room.IsCompleted);
        // What waits in the two buffers and the pipe is bounded.
        Assert.InRange(sent, 250, 1000);
        var reader = new FrameReader(other);
        for (var i = 0; i < sent; i++) Assert.Equal(1000, (await reader.ReadFrameAsync(1000, Cancel))!.Length);
        await room;
        Assert.True(sender.TrySend(frame));
        sender.Close(new IOException("test"));
        Assert.Throws<Orleans.Runtime.SiloUnavailableException>(() => sender.TrySend(frame));
    }

    private static async Task<string?> DialAsync(GrainSilo target, Handshake hello, string provenName)
    {
        var (one, other) = MemoryDuplex.Create();
        _ = target.AcceptAsync(other, provenName, Cancel);
        await one.WriteAsync(hello.ToFrame(), Cancel);
        var answer = Handshake.ParseAnswer((await new FrameReader(one).ReadFrameAsync(1024, Cancel))!);
        await one.DisposeAsync();
        return answer;
    }

    /// <summary>A grain host behind a real socket.</summary>
    private sealed class TcpSilo(TestSilo silo, TcpListener listener) : IAsyncDisposable
    {
        private readonly List<TcpClient> _accepted = [];

        public TestSilo Silo => silo;

        public static async Task<TcpSilo> StartAsync(IMembershipTable table)
        {
            var listener = new TcpListener(IPAddress.Loopback, 0);
            listener.Start();
            var options = new GrainHostOptions
            {
                Address = listener.LocalEndpoint.ToString()!,
                GrainAssemblies = { typeof(LinkTests).Assembly },
                MissedProbes = 1000,
                CallTimeout = TimeSpan.FromMinutes(1),
                ConnectTimeout = TimeSpan.FromMinutes(1),
            };
            var services = new ServiceCollection().AddSingleton<TestJournal>().BuildServiceProvider();
            var host = new GrainSilo(options, table, new Dialler(), services, TimeProvider.System, NullLogger<GrainSilo>.Instance) { SuspiciousPause = TimeSpan.FromHours(1) };
            var made = new TcpSilo(new TestSilo(options.Address, host, services.GetRequiredService<TestJournal>()), listener);
            _ = made.AcceptAsync();
            await host.StartAsync(Cancel);
            return made;
        }

        public void DropConnections()
        {
            lock (_accepted)
            {
                foreach (var client in _accepted) client.Client.Close();
                _accepted.Clear();
            }
        }

        public async ValueTask DisposeAsync()
        {
            listener.Dispose();
            await silo.Host.DisposeAsync();
        }

        private async Task AcceptAsync()
        {
            while (true)
            {
                TcpClient client;
                try
                {
                    client = await listener.AcceptTcpClientAsync();
                }
                catch (Exception e) when (e is SocketException or ObjectDisposedException)
                {
                    return;
                }

                lock (_accepted) _accepted.Add(client);
                _ = silo.Host.AcceptAsync(client.GetStream(), "", CancellationToken.None);
            }
        }

        private sealed class Dialler : ISiloTransport
        {
            public async ValueTask<Stream> ConnectAsync(string siloAddress, CancellationToken cancellationToken)
            {
                var client = new TcpClient { NoDelay = true };
                await client.ConnectAsync(IPEndPoint.Parse(siloAddress), cancellationToken);
                return client.GetStream();
            }
        }
    }
}
