namespace Relay.Protocol.WireGuard;

/// <summary>
/// Our session indices, random numbers of 32 bits, whitepaper §5.4.2. The lower bits of an index are its place in an array, so
/// finding one is a single read without a lock; an index whose place is taken is drawn again, which half of the places being
/// free makes rare. Bounded by the sessions that peers may have. Safe for concurrent use.
/// </summary>
/// <param name="entropy">Draws.</param>
/// <param name="tagged">For peers with a tag: half of the number is drawn then, and all of it looks so.</param>
internal sealed class SessionIndexTable(WireGuardEntropy entropy, TaggedIndices tagged)
{
    private const int LeastSize = 64;

    private readonly Lock _lock = new();
    private volatile IndexedSession?[] _places = new IndexedSession?[LeastSize];
    private int _count;

    /// <summary>Entries; for tests and figures.</summary>
    public int Count
    {
        get
        {
            lock (_lock) return _count;
        }
    }

    /// <summary>What the index stands for; null when nothing.</summary>
    public IndexedSession? Find(uint index)
    {
        IndexedSession?[] places = _places;
        IndexedSession? session = Volatile.Read(ref places[index & (uint)(places.Length - 1)]);
        return session is not null && session.LocalIndex == index ? session : null;
    }

    /// <summary>Draws an index for the session and enters it.</summary>
    public void Add(IndexedSession session)
    {
        lock (_lock)
        {
            if (_count >= _places.Length / 2) Grow();
            uint index;
            do index = session.Peer.Tag is not 0 and var tag ? tagged.Seal(tag, (ushort)(entropy.NextIndex() >> 16)) : entropy.NextIndex();
            while (_places[index & (uint)(_places.Length - 1)] is not null);
            session.LocalIndex = index;
            Volatile.Write(ref _places[index & (uint)(_places.Length - 1)], session);
            _count++;
        }
    }

    /// <summary>The second session takes over the index of the first, whose handshake led to it. False when the first is no longer in.</summary>
    public bool TryReplace(IndexedSession old, IndexedSession with)
    {
        lock (_lock)
        {
            if (Find(old.LocalIndex) != old) return false;
            with.LocalIndex = old.LocalIndex;
            Volatile.Write(ref _places[old.LocalIndex & (uint)(_places.Length - 1)], with);
            return true;
        }
    }

    /// <summary>Takes the session out, if it is in.</summary>
    public void Remove(IndexedSession session)
    {
        lock (_lock)
        {
            if (Find(session.LocalIndex) != session) return;
            Volatile.Write(ref _places[session.LocalIndex & (uint)(_places.Length - 1)], null);
            _count--;
        }
    }

    // Places that differ in the lower bits differ in more of them too: nothing has to be drawn again.
    private void Grow()
    {
        var grown = new IndexedSession?[_places.Length * 2];
        foreach (IndexedSession? session in _places)
        {
            if (session is not null) grown[session.LocalIndex & (uint)(grown.Length - 1)] = session;
        }

        _places = grown;
    }
}
