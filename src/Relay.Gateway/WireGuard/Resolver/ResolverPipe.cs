using System.Threading.Channels;
using Relay.Gateway.WireGuard.Decisions;

namespace Relay.Gateway.WireGuard.Resolver;

/// <summary>The resolver as the target of a UDP flow. A client usually asks once from a port, so the flow ends soon after. Caller disposes.</summary>
internal sealed class ResolverPipe : IDatagramPipe
{
    // Answers that nobody has taken yet; one more is dropped.
    private const int Waiting = 64;

    private readonly Channel<ReadOnlyMemory<byte>> _answers = Channel.CreateBounded<ReadOnlyMemory<byte>>(new BoundedChannelOptions(Waiting) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly CancellationTokenSource _over = new();
    private readonly TunnelResolver _resolver;
    private readonly FlowRequest _request;
    private readonly ITimer _idle;

    public ResolverPipe(TunnelResolver resolver, FlowRequest request)
    {
        (_resolver, _request) = (resolver, request);
        _idle = resolver.Time.CreateTimer(static s => ((ResolverPipe)s!)._answers.Writer.TryComplete(), this, resolver.Options.Idle, Timeout.InfiniteTimeSpan);
    }

    public bool TrySend(ReadOnlySpan<byte> datagram)
    {
        _idle.Change(_resolver.Options.Idle, Timeout.InfiniteTimeSpan);
        _ = AnswerAsync(datagram.ToArray());
        return true;
    }

    public ValueTask<bool> WaitToReceiveAsync(CancellationToken cancellationToken) => _answers.Reader.WaitToReadAsync(cancellationToken);

    public bool TryReceive(Span<byte> buffer, out int length)
    {
        length = 0;
        if (!_answers.Reader.TryRead(out var answer)) return false;
        answer.Span.CopyTo(buffer);
        length = answer.Length;
        return true;
    }

    public async ValueTask DisposeAsync()
    {
        await _over.CancelAsync();
        await _idle.DisposeAsync();
    }

    private async Task AnswerAsync(byte[] message)
    {
        try
        {
            var answer = await _resolver.AnswerAsync(_request, message, _over.Token);
            if (!answer.IsEmpty) _answers.Writer.TryWrite(answer);
        }
        catch (OperationCanceledException)
        {
            // The flow is over.
        }
    }
}
