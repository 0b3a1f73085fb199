using Relay.GrainHost.Serialization;

namespace Relay.GrainHost.Links;

/// <summary>A call that waits for its answer over a link.</summary>
internal abstract class PendingCall
{
    /// <summary>Of the coarse clock.</summary>
    public long Deadline { get; init; }

    /// <summary>Whether the other side can make use of a cancellation.</summary>
    public bool SendsCancel { get; init; }

    /// <summary>The call was sent, and no answer is wanted.</summary>
    public abstract void CompleteEmpty();

    /// <summary>The answer's value is what <paramref name="reader"/> holds.</summary>
    public abstract void Complete(ref WireReader reader);

    public abstract void Fail(Exception exception);

    /// <summary>The deadline has passed.</summary>
    public abstract void Expire();
}

/// <summary>Calls by number: a slot, and a count that tells its users apart. Safe for concurrent use.</summary>
internal sealed class PendingCalls
{
    private readonly Lock _lock = new();
    private readonly Stack<int> _free = new();
    private Entry[] _slots = new Entry[64];
    private int _used;
    private Exception? _closed;

    /// <summary>Gives a number to <paramref name="call"/>.</summary>
    /// <exception cref="Orleans.Runtime.SiloUnavailableException">The link is down.</exception>
    public ulong Add(PendingCall call)
    {
        lock (_lock)
        {
            if (_closed is not null) throw new Orleans.Runtime.SiloUnavailableException(_closed.Message, _closed);
            if (!_free.TryPop(out var slot))
            {
                if (_used == _slots.Length) Array.Resize(ref _slots, _slots.Length * 2);
                slot = _used++;
            }

            ref var entry = ref _slots[slot];
            entry.Call = call;
            entry.Generation++;
            return ((ulong)entry.Generation << 32) | (uint)slot;
        }
    }

    /// <summary>Takes a call out; null when it is over already.</summary>
    public PendingCall? Take(ulong id)
    {
        lock (_lock)
        {
            var slot = (uint)id;
            if (slot >= _used || _slots[slot].Generation != (uint)(id >> 32) || _slots[slot].Call is not { } call) return null;
            _slots[slot].Call = null;
            _free.Push((int)slot);
            return call;
        }
    }

    /// <summary>Takes out the calls whose deadline has passed.</summary>
    public List<(ulong Id, PendingCall Call)>? TakeExpired(long now)
    {
        List<(ulong, PendingCall)>? expired = null;
        lock (_lock)
        {
            for (var slot = 0; slot < _used; slot++)
            {
                ref var entry = ref _slots[slot];
                if (entry.Call is not { } call || call.Deadline > now) continue;
                (expired ??= []).Add((((ulong)entry.Generation << 32) | (uint)slot, call));
                entry.Call = null;
                _free.Push(slot);
            }
        }

        return expired;
    }

    /// <summary>Takes out all, and takes in no more.</summary>
    public IReadOnlyList<PendingCall> Close(Exception why)
    {
        lock (_lock)
        {
            _closed ??= why;
            var all = new List<PendingCall>();
            for (var slot = 0; slot < _used; slot++)
            {
                if (_slots[slot].Call is not { } call) continue;
                all.Add(call);
                _slots[slot].Call = null;
                _free.Push(slot);
            }

            return all;
        }
    }

    private struct Entry
    {
        public PendingCall? Call;
        public uint Generation;
    }
}
