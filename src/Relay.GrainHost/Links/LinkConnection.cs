using Relay.GrainHost.Serialization;

namespace Relay.GrainHost.Links;

/// <summary>A duplex stream after its handshake: sends frames, and reads them until it ends. Safe for concurrent use.</summary>
internal sealed class LinkConnection
{
    private readonly Stream _stream;
    private readonly FrameReader _reader;
    private readonly int _maxFrameBytes;
    private readonly TaskCompletionSource<Exception> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public LinkConnection(Stream stream, FrameReader reader, int maxFrameBytes, int maxQueuedBytes)
    {
        _stream = stream;
        _reader = reader;
        _maxFrameBytes = maxFrameBytes;
        Sender = new FrameSender(stream, maxQueuedBytes, Close);
    }

    /// <summary>Looks at one frame; a <see cref="WireFormatException"/> ends the link.</summary>
    public delegate void FrameHandler(ReadOnlySpan<byte> frame);

    public FrameSender Sender { get; }

    /// <summary>Completes, with the reason, when the link has ended.</summary>
    public Task<Exception> Ended => _ended.Task;

    /// <summary>Reads until the end.</summary>
    /// <param name="handle">Called for each frame, in order.</param>
    /// <param name="mindAnswers">True: reads on only while the sender has room, because each frame may bring an answer.</param>
    public async Task RunAsync(FrameHandler handle, bool mindAnswers)
    {
        try
        {
            do
            {
                while (_reader.TryTake(_maxFrameBytes)) handle(_reader.Frame);
                if (mindAnswers) await Sender.WaitForRoomAsync().ConfigureAwait(false);
            }
            while (!Ended.IsCompleted && await _reader.ReadAsync(CancellationToken.None).ConfigureAwait(false));
            Close(new IOException("The other side has closed the link."));
        }
        catch (Exception e)
        {
            Close(e);
        }
    }

    /// <summary>Ends the link. Frames that wait are dropped.</summary>
    public void Close(Exception why)
    {
        if (!_ended.TrySetResult(why)) return;
        Sender.Close(why);
        // Ends a read or write that is under way. Errors of a broken stream say nothing new.
        _ = CloseStreamAsync();
    }

    private async Task CloseStreamAsync()
    {
        try
        {
            await _stream.DisposeAsync().ConfigureAwait(false);
        }
        catch (Exception)
        {
            // The stream is given up either way.
        }
    }
}
