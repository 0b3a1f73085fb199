namespace Relay.GrainHost.Calls;

/// <summary>The live calls of an activation, linked through themselves. The caller guards it; <see cref="Count"/> may be read by anyone.</summary>
internal sealed class RequestList
{
    private Request? _first;
    private int _count;

    public int Count => Volatile.Read(ref _count);

    public void Add(Request request)
    {
        request.Next = _first;
        if (_first is not null) _first.Previous = request;
        _first = request;
        _count++;
    }

    public void Remove(Request request)
    {
        if (request.Previous is { } previous) previous.Next = request.Next;
        else if (_first == request) _first = request.Next;
        else return;
        if (request.Next is { } next) next.Previous = request.Previous;
        request.Previous = request.Next = null;
        _count--;
    }

    /// <summary>The calls past their deadline, each once; null when there are none. They stay in the list until their turn.</summary>
    public List<Request>? TakeExpired(long now)
    {
        List<Request>? expired = null;
        for (var request = _first; request is not null; request = request.Next)
        {
            if (request.Deadline > now) continue;
            request.Deadline = long.MaxValue;
            (expired ??= []).Add(request);
        }

        return expired;
    }
}
