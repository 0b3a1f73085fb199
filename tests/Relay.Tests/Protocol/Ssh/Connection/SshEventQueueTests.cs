using FsCheck;
using FsCheck.Fluent;
using Relay.Protocol.Ssh;

namespace Relay.Tests.Protocol.Ssh.Connection;

public sealed class SshEventQueueTests
{
    /// <summary>Against a list: any mixture of adding, taking and releasing conserves bytes, kinds and order.</summary>
    [Fact]
    public void Queue_behaves_like_a_list()
        => Checked.ForAll(ArbMap.Default.ArbFor<int>(), 200, seed =>
        {
            var random = new Random(seed);
            var queue = new SshEventQueue();
            var expected = new List<(SshChannelEventKind Kind, byte Value)>();
            var actual = new List<(SshChannelEventKind Kind, byte Value)>();
            byte value = 0;
            for (var i = 0; i < 200; i++)
            {
                switch (random.Next(5))
                {
                    case 0 or 1:
                        var kind = random.Next(2) == 0 ? SshChannelEventKind.Data : SshChannelEventKind.ExtendedData;
                        var data = new byte[random.Next(4) == 0 ? random.Next(40_000) : random.Next(50)];
                        foreach (ref var b in data.AsSpan())
                        {
                            b = value++;
                            expected.Add((kind, b));
                        }

                        if (!queue.TryAddData(kind, kind == SshChannelEventKind.Data ? 0u : 1u, data))
                            return false;
                        break;
                    case 2:
                        expected.Add((SshChannelEventKind.Request, value));
                        if (!queue.TryAddRequest("x", false, [value++]))
                            return false;
                        break;
                    default:
                        queue.Release();
                        if (queue.TryTake(out var next))
                            actual.AddRange(next.Data.ToArray().Select(b => (next.Kind, b)));
                        break;
                }
            }

            while (true)
            {
                queue.Release();
                if (!queue.TryTake(out var next))
                    break;
                actual.AddRange(next.Data.ToArray().Select(b => (next.Kind, b)));
            }

            return expected.SequenceEqual(actual) && queue.DataBytes == 0 && queue.IsEmpty;
        });

    [Fact]
    public void Requests_are_bounded_in_bytes_and_pieces_in_number()
    {
        var queue = new SshEventQueue();
        var payload = new byte[100_000];
        var added = 0;
        while (queue.TryAddRequest("x", false, payload))
            added++;
        Assert.Equal(SshLimits.QueuedRequestBytes / payload.Length, added);
        var pieces = new SshEventQueue();
        added = 0;
        while (pieces.TryAddData(added % 2 == 0 ? SshChannelEventKind.Data : SshChannelEventKind.ExtendedData, (uint)(added % 2), [1]))
            added++;
        Assert.Equal(SshLimits.QueuedEvents, added);
    }

    [Fact]
    public void Clearing_keeps_the_piece_that_is_handed_out()
    {
        var queue = new SshEventQueue();
        queue.TryAddData(SshChannelEventKind.Data, 0, new byte[200_000]);
        Assert.True(queue.TryTake(out var piece));
        queue.Clear();
        Assert.Equal(piece.Data.Length, queue.DataBytes);
        Assert.Equal(piece.Data.Length, queue.Release());
        Assert.False(queue.TryTake(out _));
        Assert.Equal(0, queue.DataBytes);
    }
}
