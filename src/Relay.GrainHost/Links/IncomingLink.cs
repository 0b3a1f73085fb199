using System.Collections.Concurrent;
using Orleans.Runtime;
using Relay.GrainHost.Calls;
using Relay.GrainHost.Hosting;
using Relay.GrainHost.Serialization;

namespace Relay.GrainHost.Links;

/// <summary>A link another silo has dialled: takes its calls and sends the answers. Safe for concurrent use.</summary>
internal sealed class IncomingLink(Stream stream, FrameReader reader, Handshake peer, CallRouter router, GrainHostOptions options, Action gossiped, Func<Guid, bool> hears)
{
    private readonly LinkConnection _link = new(stream, reader, options.MaxFrameBytes, options.MaxQueuedBytes);
    private readonly ConcurrentDictionary<ulong, ICancellableCall> _cancellable = new();

    public CallRouter Router => router;

    public Handshake Peer => peer;

    public async Task RunAsync()
    {
        await _link.RunAsync(Handle, mindAnswers: true).ConfigureAwait(false);
        // Nobody is left to hear the answers.
        foreach (var (_, call) in _cancellable) call.CancelByPeer();
        _cancellable.Clear();
    }

    public void Close(string why) => _link.Close(new IOException(why));

    public void Track(ulong callId, ICancellableCall call) => _cancellable[callId] = call;

    public void Untrack(ulong callId) => _cancellable.TryRemove(callId, out _);

    public void SendFailure(ulong callId, Exception exception)
    {
        var writer = FrameWriter.Begin(FrameKind.Failure, callId);
        FailureCodec.Write(writer, exception);
        _link.Sender.SendAnswer(FrameWriter.Finish(writer));
    }

    public void SendResult<TResult>(ulong callId, Codec<TResult>? codec, TResult result)
    {
        try
        {
            var writer = FrameWriter.Begin(FrameKind.Result, callId);
            if (codec is not null && !codec.IsAbsent(result))
            {
                writer.WriteTag(0, codec.WireType);
                codec.Write(writer, result);
            }

            if (writer.Length - LinkWire.LengthBytes > options.MaxFrameBytes)
                throw new LimitExceededException($"A result has {writer.Length} bytes; the limit between silos is {options.MaxFrameBytes}.");
            _link.Sender.SendAnswer(FrameWriter.Finish(writer));
        }
        catch (Exception e)
        {
            SendFailure(callId, e);
        }
    }

    private void Handle(ReadOnlySpan<byte> frame)
    {
        var frameReader = new WireReader(frame);
        switch ((FrameKind)frameReader.ReadByte())
        {
            case FrameKind.Call:
                HandleCall(ref frameReader);
                break;
            case FrameKind.Cancel:
                if (_cancellable.TryRemove(frameReader.ReadFixed64(), out var call)) call.CancelByPeer();
                break;
            case FrameKind.Probe:
                HandleProbe(ref frameReader);
                break;
            case FrameKind.Gossip:
                gossiped();
                break;
            case var kind:
                throw new WireFormatException($"A frame of kind {kind} came the wrong way.");
        }
    }

    private void HandleProbe(ref WireReader frame)
    {
        var answer = FrameWriter.Begin(FrameKind.ProbeAnswer, frame.ReadFixed64());
        if (!frame.AtEnd) answer.WriteByte(hears(new Guid(frame.Take(16))) ? (byte)1 : (byte)0);
        _link.Sender.SendAnswer(FrameWriter.Finish(answer));
    }

    private void HandleCall(ref WireReader frame)
    {
        var id = frame.ReadFixed64();
        var flags = (CallFlags)frame.ReadByte();
        var left = TimeSpan.FromMilliseconds(Math.Min(frame.ReadVarint(), 24UL * 60 * 60 * 1000));
        var methodId = frame.ReadFixed64();
        var key = frame.ReadString();
        if (key.Length > LinkWire.MaxKeyBytes) throw new WireFormatException("A grain's key is too long.");
        var origin = new InboundCall(this, id, key, router.Clock.At(left), flags.HasFlag(CallFlags.Forwarded) ? 1 : 0, flags.HasFlag(CallFlags.NoAnswer));
        try
        {
            if (router.StoodStill()) throw new OrleansMessageRejectionException("The silo stood still, and does not know yet whether it was declared dead meanwhile.");
            if (router.Types.Find(methodId) is not { } method)
                throw new OrleansMessageRejectionException("The silo does not know the method: it runs another version.");
            router.Receive(method, ref frame, origin);
        }
        catch (Exception e)
        {
            // The frame's bounds are sound, so only this call fails.
            if (!origin.NoAnswer) SendFailure(id, e is WireFormatException ? new ArgumentException($"The arguments cannot be read: {e.Message}") : e);
        }
    }
}
