using Orleans.Runtime;
using Relay.GrainHost.Hosting;
using Relay.GrainHost.Serialization;
using Relay.GrainHost.Turns;

namespace Relay.GrainHost.Links;

/// <summary>A link we have dialled, with the calls that wait for answers over it. Safe for concurrent use.</summary>
internal sealed class OutgoingConnection(Stream stream, FrameReader reader, string peer, GrainHostOptions options, CoarseClock clock)
{
    private readonly LinkConnection _link = new(stream, reader, options.MaxFrameBytes, options.MaxQueuedBytes);

    public PendingCalls Pending { get; } = new();

    public FrameSender Sender => _link.Sender;

    public Task<Exception> Ended => _link.Ended;

    public int MaxFrameBytes => options.MaxFrameBytes;

    public TimeSpan TimeLeft(long deadline) => clock.Until(deadline);

    public void Start() => _ = RunAsync();

    public void Close(Exception why) => _link.Close(why);

    public void Expire(long now)
    {
        if (Pending.TakeExpired(now) is not { } expired) return;
        foreach (var (id, call) in expired)
        {
            call.Expire();
            if (call.SendsCancel) SendCancel(id);
        }
    }

    /// <summary>The caller has given up.</summary>
    public void Cancel(ulong id, CancellationToken token)
    {
        if (Pending.Take(id) is not { } call) return;
        call.Fail(new OperationCanceledException(token));
        if (call.SendsCancel) SendCancel(id);
    }

    private async Task RunAsync()
    {
        await _link.RunAsync(Handle, mindAnswers: false).ConfigureAwait(false);
        var why = await _link.Ended.ConfigureAwait(false);
        var lost = new SiloUnavailableException($"The link to {peer} was lost; the call may or may not have been executed. {why.Message}", why);
        foreach (var call in Pending.Close(lost)) call.Fail(lost);
    }

    private void Handle(ReadOnlySpan<byte> frame)
    {
        var frameReader = new WireReader(frame);
        var kind = (FrameKind)frameReader.ReadByte();
        if (kind is not (FrameKind.Result or FrameKind.Failure or FrameKind.ProbeAnswer)) throw new WireFormatException($"A frame of kind {kind} came the wrong way.");
        if (Pending.Take(frameReader.ReadFixed64()) is not { } call) return;
        try
        {
            if (kind == FrameKind.Failure) call.Fail(FailureCodec.Read(ref frameReader));
            else call.Complete(ref frameReader);
        }
        catch (WireFormatException e)
        {
            call.Fail(new OrleansException($"The answer of {peer} cannot be read: {e.Message}", e));
            throw;
        }
    }

    private void SendCancel(ulong id)
    {
        try
        {
            Sender.TrySend(FrameWriter.Finish(FrameWriter.Begin(FrameKind.Cancel, id)));
        }
        catch (SiloUnavailableException)
        {
            // The other side cancels the calls of a lost link by itself.
        }
    }
}
