using System.Buffers;
using Relay.Protocol.Ssh;

namespace Relay.Tests.Protocol.Ssh.Connection;

/// <summary>L10: a channel that was refused is gone, whoever refused it.</summary>
public sealed class RejectedOpensTests
{
    private const int Opens = 1_000_000;

    // Without I/O, so that a million is a matter of seconds. What would leak is looked for by itself: the heap as a whole
    // belongs to all tests that run at the same time.
    [Theory]
    [InlineData(true)]  // by the application
    [InlineData(false)] // by the cap
    public async Task A_million_rejected_opens_leave_nothing(bool byApplication)
    {
        using var link = new SshLink(Stream.Null, new() { Role = SshRole.Server, HostKeys = [TestKeys.Host] }, TimeProvider.System);
        var receiver = new SshReceiver(null!, link, byApplication ? 10 : 0);
        using var open = new SshWriter();
        SshChannelMessages.Open(open, "session", 7, 1 << 20, new byte[100]);
        List<WeakReference> kept = [];
        var answers = 0;
        for (var i = 0; i < Opens; i++)
        {
            lock (link.Gate)
                receiver.Dispatch(open.WrittenSpan);
            if (byApplication)
                await RejectAsync(receiver, i % 1000 == 0 ? kept : null);
            if (link.Transport.Writer.Pending == 0)
                continue;
            answers++;
            ArrayPool<byte>.Shared.Return(link.Transport.Writer.Take().Array!);
        }

        GC.Collect();
        Assert.Equal(Opens, answers);
        Assert.Equal(0, receiver.ChannelCount);
        Assert.False(receiver.Incoming.TryPeek(out _));
        // The last one may still be on the stack.
        Assert.InRange(kept.Count(k => k.IsAlive), 0, 1);

        // The next channel gets the first number: the table has not grown either.
        if (byApplication)
        {
            lock (link.Gate)
                receiver.Dispatch(open.WrittenSpan);
            Assert.True(receiver.Incoming.TryRead(out var next));
            Assert.Equal(0u, ((SshChannelOpen)next).LocalId);
        }
    }

    private static async Task RejectAsync(SshReceiver receiver, List<WeakReference>? kept)
    {
        Assert.True(receiver.Incoming.TryRead(out var incoming));
        kept?.Add(new WeakReference(incoming));
        await ((SshChannelOpen)incoming).RejectAsync(SshChannelOpenReason.AdministrativelyProhibited, "no");
    }
}
