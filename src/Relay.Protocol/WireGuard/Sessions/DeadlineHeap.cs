namespace Relay.Protocol.WireGuard;

/// <summary>
/// Which peer has something to do next: a heap with at most one entry for each. An entry may be earlier than the peer's true
/// deadline, never later: a packet that puts a timer off leaves it alone, and when it is due the peer looks again. So a
/// packet costs a comparison, whatever the number of peers. Safe for concurrent use.
/// </summary>
internal sealed class DeadlineHeap
{
    private const int Children = 4;

    private readonly Lock _lock = new();
    private (long Due, WireGuardPeer Peer)[] _entries = [];
    private int _count;

    /// <summary>When the first is due, in ticks; <see cref="PeerTimers.Never"/> when none is.</summary>
    public long Next
    {
        get
        {
            lock (_lock) return _count == 0 ? PeerTimers.Never : _entries[0].Due;
        }
    }

    /// <summary>The peer is looked at no later than at the given time.</summary>
    public void Schedule(WireGuardPeer peer, long due)
    {
        if (Volatile.Read(ref peer.Deadline.Due) <= due) return;
        lock (_lock)
        {
            if (peer.Deadline.Due <= due || peer.IsRemoved) return;
            if (peer.Deadline.Due == PeerTimers.Never)
            {
                if (_count == _entries.Length) Array.Resize(ref _entries, Math.Max(16, _count * 2));
                peer.Deadline.Place = _count++;
            }

            Volatile.Write(ref peer.Deadline.Due, due);
            Up(peer.Deadline.Place, (due, peer));
        }
    }

    /// <summary>Takes out a peer whose entry is due; null when there is none.</summary>
    public WireGuardPeer? TakeDue(long now)
    {
        lock (_lock)
        {
            if (_count == 0 || _entries[0].Due > now) return null;
            WireGuardPeer peer = _entries[0].Peer;
            RemoveAt(0);
            return peer;
        }
    }

    /// <summary>Takes a peer out, if it is in; it is marked as removed before, so that it does not come back.</summary>
    public void Remove(WireGuardPeer peer)
    {
        lock (_lock)
        {
            if (peer.Deadline.Due != PeerTimers.Never) RemoveAt(peer.Deadline.Place);
        }
    }

    private void RemoveAt(int place)
    {
        Volatile.Write(ref _entries[place].Peer.Deadline.Due, PeerTimers.Never);
        (long Due, WireGuardPeer Peer) last = _entries[--_count];
        _entries[_count] = default;
        if (place == _count) return;
        if (place > 0 && last.Due < _entries[(place - 1) / Children].Due) Up(place, last);
        else Down(place, last);
    }

    private void Up(int place, (long Due, WireGuardPeer Peer) entry)
    {
        while (place > 0)
        {
            int parent = (place - 1) / Children;
            if (_entries[parent].Due <= entry.Due) break;
            Put(place, _entries[parent]);
            place = parent;
        }

        Put(place, entry);
    }

    private void Down(int place, (long Due, WireGuardPeer Peer) entry)
    {
        while (true)
        {
            int first = (place * Children) + 1, least = -1;
            for (int child = first; child < Math.Min(first + Children, _count); child++)
            {
                if (_entries[child].Due < (least < 0 ? entry.Due : _entries[least].Due)) least = child;
            }

            if (least < 0) break;
            Put(place, _entries[least]);
            place = least;
        }

        Put(place, entry);
    }

    private void Put(int place, (long Due, WireGuardPeer Peer) entry)
    {
        _entries[place] = entry;
        entry.Peer.Deadline.Place = place;
    }

    /// <summary>A peer's entry, kept in the peer; written under the heap's lock.</summary>
    internal struct Entry()
    {
        /// <summary>Ticks; <see cref="PeerTimers.Never"/> when the peer is not in the heap. Read without the lock, too.</summary>
        public long Due = PeerTimers.Never;

        /// <summary>Where in the heap.</summary>
        public int Place;
    }
}
