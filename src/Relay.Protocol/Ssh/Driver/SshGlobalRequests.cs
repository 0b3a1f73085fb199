namespace Relay.Protocol.Ssh;

/// <summary>
/// Global requests of both directions. Answers carry no number, so their order is all there is (RFC 4254 §4): the
/// peer's are answered in the order they came, ours are matched in the order they went, and what nobody asked for is
/// dropped (L11). Gate held for all but <see cref="Answer"/>.
/// </summary>
internal sealed class SshGlobalRequests(SshLink link)
{
    private readonly Queue<SshGlobalRequest> _toAnswer = new();
    private readonly Queue<TaskCompletionSource<(bool, ReadOnlyMemory<byte>)>?> _asked = new();

    /// <summary>Sends a request; the task, if a reply is wanted, is its answer.</summary>
    public Task<(bool Success, ReadOnlyMemory<byte> Data)>? Ask(string type, bool wantReply, ReadOnlySpan<byte> data)
    {
        TaskCompletionSource<(bool, ReadOnlyMemory<byte>)>? answer = null;
        if (wantReply)
        {
            answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
            _asked.Enqueue(answer);
        }

        link.Scratch.Clear();
        SshChannelMessages.GlobalRequest(link.Scratch, type, wantReply, data);
        link.Transport.Send(link.Scratch.WrittenSpan);
        return answer?.Task;
    }

    /// <summary>Asks for a sign of life; nobody waits for the answer.</summary>
    public void AskKeepAlive()
    {
        _asked.Enqueue(null);
        link.Scratch.Clear();
        SshChannelMessages.GlobalRequest(link.Scratch, "keepalive@openssh.com", true, []);
        link.Transport.Send(link.Scratch.WrittenSpan);
    }

    /// <summary>SSH_MSG_REQUEST_SUCCESS or _FAILURE.</summary>
    public void OnReply(bool success, ReadOnlySpan<byte> data)
    {
        if (_asked.TryDequeue(out var answer))
            answer?.TrySetResult((success, data.ToArray()));
    }

    /// <summary>Gives the request its place in the order of answers.</summary>
    public void Add(SshGlobalRequest request)
    {
        if (!request.WantReply)
            return;
        if (_toAnswer.Count >= SshLimits.UnansweredRequests)
            throw SshException.Protocol("Too many global requests are waiting for an answer.");
        _toAnswer.Enqueue(request);
    }

    /// <summary>Answers, or keeps the answer until those before it are given. Gate not held.</summary>
    public void Answer(SshGlobalRequest request, bool success, ReadOnlyMemory<byte> data)
    {
        lock (link.Gate)
            AnswerHeld(request, success, data);
        link.Flush();
    }

    public void AnswerHeld(SshGlobalRequest request, bool success, ReadOnlyMemory<byte> data)
    {
        if (!request.WantReply || request.IsAnswered)
            return;
        request.IsAnswered = true;
        request.Success = success;
        request.Reply = data.ToArray();
        while (_toAnswer.TryPeek(out var next) && next.IsAnswered)
        {
            _toAnswer.Dequeue();
            link.Scratch.Clear();
            link.Scratch.WriteByte(next.Success ? SshMessageNumber.RequestSuccess : SshMessageNumber.RequestFailure);
            if (next.Success)
                link.Scratch.WriteBytes(next.Reply.Span);
            link.Transport.Send(link.Scratch.WrittenSpan);
        }
    }

    /// <summary>The connection ended: whoever waits is told.</summary>
    public void Fail(Exception error)
    {
        _toAnswer.Clear();
        while (_asked.TryDequeue(out var answer))
            answer?.TrySetException(error);
    }
}
