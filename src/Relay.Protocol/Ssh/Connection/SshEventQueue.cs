using System.Buffers;

namespace Relay.Protocol.Ssh;

/// <summary>
/// What the peer sent on a channel and nobody has read yet, in order. Data is copied into pooled segments and
/// neighbouring pieces of one kind become one event, so memory is the channel's window plus a bounded list. One piece
/// at most is handed out at a time. Not thread-safe: the connection's gate guards it.
/// </summary>
internal sealed class SshEventQueue
{
    private const int SmallSegment = 4 * 1024;
    private const int LargeSegment = 128 * 1024;
    private Entry[] _entries = [];
    private int _head;
    private int _count;
    private Segment? _first;
    private Segment? _last;
    private int _taken;
    private int _requestBytes;

    private struct Entry
    {
        public SshChannelEventKind Kind;
        public uint ExtendedType;
        public int Length;
        public byte[]? Payload;
        public string? RequestType;
        public bool WantReply;
    }

    private sealed class Segment(byte[] array)
    {
        public readonly byte[] Array = array;
        public int Start;
        public int End;
        public Segment? Next;
    }

    /// <summary>True when nothing is queued beyond the piece that is handed out.</summary>
    public bool IsEmpty => _count == 0;

    /// <summary>Data bytes queued, the piece handed out included.</summary>
    public int DataBytes { get; private set; }

    /// <summary>Appends data; false when the list is at its limit.</summary>
    public bool TryAddData(SshChannelEventKind kind, uint extendedType, ReadOnlySpan<byte> data)
    {
        if (data.IsEmpty)
            return true;
        if (_count > 0)
        {
            ref var tail = ref At(_count - 1);
            if (tail.Kind == kind && tail.ExtendedType == extendedType)
            {
                tail.Length += data.Length;
                Store(data);
                return true;
            }
        }

        if (!TryAdd(new Entry { Kind = kind, ExtendedType = extendedType, Length = data.Length }))
            return false;
        Store(data);
        return true;
    }

    /// <summary>Appends a request; false when too many, or too large ones, are waiting.</summary>
    public bool TryAddRequest(string type, bool wantReply, ReadOnlySpan<byte> payload)
    {
        if (_requestBytes + payload.Length > SshLimits.QueuedRequestBytes)
            return false;
        if (!TryAdd(new Entry { Kind = SshChannelEventKind.Request, RequestType = type, WantReply = wantReply, Payload = payload.ToArray() }))
            return false;
        _requestBytes += payload.Length;
        return true;
    }

    /// <summary>Appends an EOF.</summary>
    public bool TryAddEof() => TryAdd(new Entry { Kind = SshChannelEventKind.Eof });

    /// <summary>Takes the next piece. The one before must have been released.</summary>
    public bool TryTake(out SshChannelEvent next)
    {
        next = default;
        if (_count == 0)
            return false;
        ref var entry = ref At(0);
        if (entry.Kind is SshChannelEventKind.Data or SshChannelEventKind.ExtendedData)
        {
            var segment = _first!;
            var length = Math.Min(entry.Length, segment.End - segment.Start);
            next = new(entry.Kind, segment.Array.AsMemory(segment.Start, length), entry.ExtendedType);
            _taken = length;
            entry.Length -= length;
            if (entry.Length == 0)
                Drop();
            return true;
        }

        next = new(entry.Kind, entry.Payload ?? [], 0, entry.RequestType, entry.WantReply);
        _requestBytes -= entry.Payload?.Length ?? 0;
        Drop();
        return true;
    }

    /// <summary>Ends the use of the piece handed out last; returns its data bytes, for the window.</summary>
    public int Release()
    {
        var released = _taken;
        if (released == 0)
            return 0;
        _taken = 0;
        DataBytes -= released;
        var segment = _first!;
        segment.Start += released;
        if (segment.Start == segment.End)
        {
            _first = segment.Next;
            if (_first is null)
                _last = null;
            ArrayPool<byte>.Shared.Return(segment.Array);
        }

        return released;
    }

    /// <summary>Forgets everything queued but the piece handed out.</summary>
    public void Clear()
    {
        _entries = [];
        _head = _count = _requestBytes = 0;
        var kept = _taken > 0 ? _first : null;
        for (var segment = kept is null ? _first : kept.Next; segment is not null; segment = segment.Next)
            ArrayPool<byte>.Shared.Return(segment.Array);
        _first = _last = kept;
        if (kept is not null)
        {
            kept.Next = null;
            kept.End = kept.Start + _taken;
        }

        DataBytes = _taken;
    }

    private void Store(ReadOnlySpan<byte> data)
    {
        DataBytes += data.Length;
        while (data.Length > 0)
        {
            if (_last is null || _last.End == _last.Array.Length)
            {
                var size = data.Length + DataBytes > SmallSegment ? LargeSegment : SmallSegment;
                var added = new Segment(ArrayPool<byte>.Shared.Rent(size));
                if (_last is null)
                    _first = added;
                else
                    _last.Next = added;
                _last = added;
            }

            var length = Math.Min(data.Length, _last.Array.Length - _last.End);
            data[..length].CopyTo(_last.Array.AsSpan(_last.End));
            _last.End += length;
            data = data[length..];
        }
    }

    private ref Entry At(int index) => ref _entries[(_head + index) % _entries.Length];

    private void Drop()
    {
        At(0) = default;
        _head = (_head + 1) % _entries.Length;
        _count--;
    }

    private bool TryAdd(Entry entry)
    {
        if (_count == _entries.Length)
        {
            if (_count >= SshLimits.QueuedEvents)
                return false;
            var grown = new Entry[Math.Max(4, _count * 2)];
            for (var i = 0; i < _count; i++)
                grown[i] = At(i);
            _entries = grown;
            _head = 0;
        }

        _count++;
        At(_count - 1) = entry;
        return true;
    }
}
