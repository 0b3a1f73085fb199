using System.Buffers.Binary;
using System.Net;
using Relay.Gateway.WireGuard.Decisions;
using Relay.Gateway.WireGuard.Resolver;
using Relay.Protocol.Dns;

namespace Relay.Tests.Gateway.WireGuard;

/// <summary>How many questions of a device are under way at once, and what becomes of one more.</summary>
public sealed class ResolverLimitTests
{
    // RFC 1035 §4.1.1: the answer's code is in the lower half of the fourth byte.
    private const int Code = 3;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task One_question_more_is_answered_with_a_failure_at_once_and_other_devices_and_later_ones_are_not()
    {
        var options = new ResolverOptions { Suffix = "relay" };
        var names = new SlowNames();
        var resolver = new TunnelResolver(options, names, new ManualTimeProvider());
        var (busy, other) = (Request(), Request());
        using var gone = new CancellationTokenSource();
        var first = Ask(busy, 0, until: gone);
        var waiting = Enumerable.Range(1, options.QuestionsPerDevice - 1).Select(i => Ask(busy, (ushort)i)).ToArray();
        Assert.Equal(64, names.Asked.Count);

        // Whatever it is that it asks.
        foreach (var name in (string[])["db.relay", "www.example.com"])
        {
            var beyond = Ask(busy, 0xabcd, name: name);
            Assert.True(beyond.IsCompletedSuccessfully);
            var answer = await beyond;
            Assert.Equal((0xabcd, DnsCode.ServerFailure), (BinaryPrimitives.ReadUInt16BigEndian(answer), (DnsCode)(answer[Code] & 15)));
        }

        Assert.Equal(64, names.Asked.Count);
        var others = Ask(other, 1);
        Assert.Equal(65, names.Asked.Count);
        names.Asked[64].SetResult([IPAddress.Parse("100.126.0.1")]);
        Assert.Equal(DnsCode.NoError, (DnsCode)((await others.WaitAsync(TimeSpan.FromSeconds(60), Cancellation))[Code] & 15));

        // A question that is answered, or that nobody waits for any more, makes room for one.
        names.Asked[1].SetResult([]);
        Assert.Equal(DnsCode.NameError, (DnsCode)((await waiting[0].WaitAsync(TimeSpan.FromSeconds(60), Cancellation))[Code] & 15));
        await gone.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first.WaitAsync(TimeSpan.FromSeconds(60), Cancellation));
        Task<byte[]>[] more = [Ask(busy, 2), Ask(busy, 3), Ask(busy, 4)];
        Assert.Equal(67, names.Asked.Count);
        Assert.Equal([false, false, true], more.Select(m => m.IsCompleted));

        async Task<byte[]> Ask(FlowRequest request, ushort id, string name = "db.relay", CancellationTokenSource? until = null) =>
            (await resolver.AnswerAsync(request, Question(id, name), until?.Token ?? Cancellation)).ToArray();
    }

    private static FlowRequest Request()
    {
        var device = new UserDevice { Id = Guid.NewGuid(), UserId = Guid.NewGuid(), PublicKey = default, Addresses = [IPAddress.Parse("100.124.0.2")] };
        var own = new IPEndPoint(IPAddress.Parse("100.124.100.100"), ResolverOptions.Port);
        return new FlowRequest(device, new IPEndPoint(IPAddress.Loopback, 1), new IPEndPoint(device.Addresses[0], 2), own, FlowProtocol.Udp);
    }

    // RFC 1035 §4.1: one question for an address, recursion desired.
    private static byte[] Question(ushort id, string name) =>
    [
        (byte)(id >> 8), (byte)id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0,
        .. name.Split('.').SelectMany(label => (byte[])[(byte)label.Length, .. label.Select(c => (byte)c)]), 0, 0, 1, 0, 1,
    ];

    private sealed class SlowNames : ISocketNames
    {
        public List<TaskCompletionSource<IReadOnlyList<IPAddress>>> Asked { get; } = [];

        public async ValueTask<IReadOnlyList<IPAddress>> ResolveAsync(FlowRequest request, string name, CancellationToken cancellationToken)
        {
            var answer = new TaskCompletionSource<IReadOnlyList<IPAddress>>();
            Asked.Add(answer);
            return await answer.Task.WaitAsync(cancellationToken);
        }
    }
}
