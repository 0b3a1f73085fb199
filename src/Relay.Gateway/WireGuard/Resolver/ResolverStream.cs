using System.Buffers.Binary;
using System.IO.Pipelines;
using Relay.Gateway.WireGuard.Decisions;
using Relay.Protocol.Dns;
using Relay.Protocol.Tunnel;

namespace Relay.Gateway.WireGuard.Resolver;

/// <summary>
/// The resolver as the target of a TCP connection: each message after its length (RFC 1035 §4.2.2), one question after the other. What is written is
/// questions, what is read answers. Caller disposes.
/// </summary>
internal sealed class ResolverStream : DuplexStream
{
    private readonly Pipe _questions = new(new PipeOptions(pauseWriterThreshold: 8192, resumeWriterThreshold: 4096));
    private readonly Pipe _answers = new();
    private readonly CancellationTokenSource _aborted = new();
    private readonly TunnelResolver _resolver;
    private readonly FlowRequest _request;

    public ResolverStream(TunnelResolver resolver, FlowRequest request)
    {
        (_resolver, _request) = (resolver, request);
        _ = ServeAsync();
    }

    public override CancellationToken Aborted => _aborted.Token;

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        ThrowIfAborted();
        var result = await Failing(_answers.Reader.ReadAsync(cancellationToken));
        var taken = result.Buffer.Slice(0, Math.Min(buffer.Length, result.Buffer.Length));
        foreach (var piece in taken)
        {
            piece.CopyTo(buffer);
            buffer = buffer[piece.Length..];
        }

        _answers.Reader.AdvanceTo(taken.End);
        ThrowIfAborted();
        return (int)taken.Length;
    }

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        ThrowIfAborted();
        if ((await Failing(_questions.Writer.WriteAsync(buffer, cancellationToken))).IsCompleted) throw new IOException("no more questions are taken");
    }

    public override ValueTask CompleteWritesAsync(CancellationToken cancellationToken = default) => _questions.Writer.CompleteAsync();

    public override void Abort(string reason)
    {
        if (_aborted.IsCancellationRequested) return;
        _aborted.Cancel();
        _answers.Reader.CancelPendingRead();
        _questions.Writer.CancelPendingFlush();
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) Abort("disposed");
        base.Dispose(disposing);
    }

    private async Task ServeAsync()
    {
        var length = new byte[2];
        var message = new byte[DnsWire.MaxQueryBytes];
        var source = _questions.Reader.AsStream();
        try
        {
            while (true)
            {
                using var idle = new CancellationTokenSource(_resolver.Options.Idle, _resolver.Time);
                using var either = CancellationTokenSource.CreateLinkedTokenSource(idle.Token, _aborted.Token);
                if (await source.ReadAtLeastAsync(length, 2, throwOnEndOfStream: false, either.Token) < 2) break;
                int bytes = BinaryPrimitives.ReadUInt16BigEndian(length);
                // L16: what is longer than any question is not read.
                if (bytes > message.Length) break;
                await source.ReadExactlyAsync(message.AsMemory(0, bytes), either.Token);
                var answer = await _resolver.AnswerAsync(_request, message.AsMemory(0, bytes), _aborted.Token);
                if (answer.IsEmpty) break;
                BinaryPrimitives.WriteUInt16BigEndian(_answers.Writer.GetSpan(2), (ushort)answer.Length);
                _answers.Writer.Advance(2);
                await _answers.Writer.WriteAsync(answer, _aborted.Token);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or EndOfStreamException)
        {
            // Idle, over, or it ended within a message.
        }

        await _answers.Writer.CompleteAsync();
        await _questions.Reader.CompleteAsync();
    }

    private void ThrowIfAborted()
    {
        if (_aborted.IsCancellationRequested) throw new IOException("aborted");
    }

    // A pipe whose other end is over says so in its own way.
    private static async ValueTask<T> Failing<T>(ValueTask<T> call)
    {
        try
        {
            return await call;
        }
        catch (InvalidOperationException e)
        {
            throw new IOException(e.Message, e);
        }
    }
}
