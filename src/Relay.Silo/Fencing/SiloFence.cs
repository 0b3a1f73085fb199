using Relay.Protocol.Grid;

namespace Relay.Silo.Fencing;

/// <summary>
/// Whether this silo may serve, and whether another one certainly does not any more. Decides from what it is told; asks nobody and
/// reads no clock, so the product and the model in tests run the same code. Times are of one monotonic clock. Safe for concurrent use.
/// <para>
/// A silo may serve while its latest contact is younger than <see cref="FenceTimes.HoldFor"/>. A contact is the moment it asked the
/// store and was told that it is not fenced, or the moment since which a majority of its voters has answered its heartbeats. It counts
/// only over voters that stand in its row of the store.
/// </para>
/// <para>
/// Another one's leases may be taken when it is fenced in the store (which tells it so from then on), and, of each set of voters that
/// its row names, so many refuse its heartbeats that no majority is left for it; each for a <see cref="FenceTimes.FencePeriod"/>.
/// </para>
/// </summary>
internal sealed class SiloFence(FenceTimes times, Voter self)
{
    /// <summary>No more are told or kept: each costs its silo a restart, and matters while leases name it.</summary>
    private const int MaxFenced = 256;

    private readonly Lock _lock = new();
    private readonly Dictionary<string, Peer> _peers = new(StringComparer.Ordinal);
    private readonly Dictionary<Guid, FencedSilo> _fenced = [];
    private Voter[] _voters = [];
    private TimeSpan? _heldAt;
    private bool _fencedSelf;

    public Voter Self => self;

    public TimeSpan HoldFor => times.HoldFor;

    /// <summary>This start of the silo is over: the store or a peer said so. Final.</summary>
    public bool IsFenced
    {
        get
        {
            lock (_lock) return _fencedSelf;
        }
    }

    /// <summary>The voters majorities are counted over.</summary>
    public IReadOnlyList<Voter> Voters
    {
        get
        {
            lock (_lock) return _voters;
        }
    }

    /// <summary>The store has taken these voters into this silo's row, which was not fenced then.</summary>
    public void Adopt(IReadOnlyList<Voter> voters)
    {
        lock (_lock) _voters = [.. voters];
    }

    /// <summary>The store, asked at <paramref name="askedAt"/>, said that this silo is not fenced.</summary>
    public void OnHeld(TimeSpan askedAt)
    {
        lock (_lock) _heldAt = Later(_heldAt, askedAt);
    }

    /// <summary>The store says that a silo is fenced, this one or another.</summary>
    /// <param name="incarnation">Which start.</param>
    /// <param name="voters">The sets of voters that its row names; fixed, because a fenced row does not change.</param>
    /// <param name="now">After the store has said so.</param>
    public void OnFenced(Guid incarnation, IReadOnlyList<IReadOnlyList<Voter>> voters, TimeSpan now)
    {
        lock (_lock)
        {
            if (Learn(incarnation, now) is { } silo) silo.Voters ??= voters;
        }
    }

    /// <summary>The heartbeat to send now.</summary>
    public PeerHeartbeat Beat(Guid to, bool storeReachable)
    {
        lock (_lock) return new PeerHeartbeat(self.Address, self.Incarnation, to, storeReachable, FencedNow());
    }

    /// <summary>A heartbeat has arrived; the answer is to be sent.</summary>
    public PeerHeartbeatAnswer OnHeartbeat(PeerHeartbeat beat, bool storeReachable, TimeSpan now)
    {
        lock (_lock)
        {
            foreach (var incarnation in beat.Fenced.Take(MaxFenced)) Learn(incarnation, now);
            var accepted = beat.ToIncarnation == self.Incarnation && !_fencedSelf && !_fenced.ContainsKey(beat.FromIncarnation);
            return new PeerHeartbeatAnswer(accepted, self.Incarnation, storeReachable, FencedNow());
        }
    }

    /// <summary>A heartbeat was answered.</summary>
    /// <param name="peer">Whom it was meant for.</param>
    /// <param name="answer">What came back.</param>
    /// <param name="sentAt">When it was sent: the peer lived at that moment or later.</param>
    /// <param name="now">When the answer was here.</param>
    public void OnAnswer(Voter peer, PeerHeartbeatAnswer answer, TimeSpan sentAt, TimeSpan now)
    {
        lock (_lock)
        {
            foreach (var incarnation in answer.Fenced.Take(MaxFenced)) Learn(incarnation, now);
            if (!_peers.TryGetValue(peer.Address, out var known) || known.Incarnation != answer.Incarnation)
            {
                // Another start has forgotten what the former refused, until it says so itself.
                _peers[peer.Address] = known = new Peer(answer.Incarnation);
            }

            foreach (var incarnation in answer.Fenced.Take(MaxFenced)) known.Refuses.TryAdd(incarnation, now);
            if (!answer.Accepted || answer.Incarnation != peer.Incarnation) return;
            known.HeardAt = Later(known.HeardAt, sentAt);
            known.StoreAt = answer.StoreReachable ? Later(known.StoreAt, sentAt) : null;
        }
    }

    /// <summary>Whether streams may be opened and tunnels kept now. To be asked at every opening: a process that stood still must not go on.</summary>
    public bool MayServe(TimeSpan now) => now <= ServesUntil(now);

    /// <summary>Up to when, this moment included, it may serve as far as is known now; in the past when it may not.</summary>
    public TimeSpan ServesUntil(TimeSpan now)
    {
        lock (_lock) return !_fencedSelf && LastContact(now) is { } at ? at + times.HoldFor : TimeSpan.MinValue;
    }

    /// <summary>Whether a majority of the voters, this silo among them, has answered lately.</summary>
    public bool HearsMajority(TimeSpan now)
    {
        lock (_lock) return !_fencedSelf && MajorityAt(now) is { } at && now - at <= times.HeardFor;
    }

    /// <summary>Peers that answered lately and reach the store directly.</summary>
    public IReadOnlyList<Voter> PeersWithStore(TimeSpan now)
    {
        lock (_lock) return [.. _peers.Where(p => p.Value.StoreAt is { } at && now - at <= times.HeardFor).Select(p => new Voter(p.Key, p.Value.Incarnation))];
    }

    /// <summary>Starts of silos that answered lately: they live, whatever the store has not heard of them.</summary>
    public IReadOnlyList<Guid> Heard(TimeSpan now)
    {
        lock (_lock) return [.. _peers.Values.Where(p => p.HeardAt is { } at && now - at <= times.HeardFor).Select(p => p.Incarnation)];
    }

    /// <summary>Whether it is known here that a silo is fenced in the store.</summary>
    public bool Knows(Guid incarnation)
    {
        lock (_lock) return _fenced.ContainsKey(incarnation);
    }

    /// <summary>Whether the leases of a silo may be given to other agent instances: it cannot be serving any more.</summary>
    public bool MayTakeOver(Guid incarnation, TimeSpan now)
    {
        lock (_lock)
        {
            if (_fencedSelf || !_fenced.TryGetValue(incarnation, out var silo) || silo.Voters is null) return false;
            var since = now - times.FencePeriod;
            return silo.KnownAt <= since && silo.Voters.All(set => LeavesNoMajority(set, incarnation, silo, since));
        }
    }

    // Of n voters a majority is n/2 + 1: with (n + 1)/2 refusing, what is left is too few.
    private bool LeavesNoMajority(IReadOnlyList<Voter> set, Guid incarnation, FencedSilo silo, TimeSpan since)
    {
        var refusing = set.Count(voter => voter.Address == self.Address
            ? silo.KnownAt <= since
            : _peers.TryGetValue(voter.Address, out var peer) && peer.Refuses.TryGetValue(incarnation, out var at) && at <= since);
        return refusing >= (set.Count + 1) / 2;
    }

    private TimeSpan? LastContact(TimeSpan now) => MajorityAt(now) is { } majority ? Later(_heldAt, majority) : _heldAt;

    // The latest moment since which a majority has answered.
    private TimeSpan? MajorityAt(TimeSpan now)
    {
        if (!_voters.Contains(self)) return null;
        var needed = _voters.Length / 2;
        if (needed == 0) return now;
        Span<TimeSpan> heard = _voters.Length <= 64 ? stackalloc TimeSpan[64] : new TimeSpan[_voters.Length];
        var count = 0;
        foreach (var voter in _voters)
        {
            if (voter != self && _peers.TryGetValue(voter.Address, out var peer) && peer.Incarnation == voter.Incarnation && peer.HeardAt is { } at)
                heard[count++] = at;
        }

        if (count < needed) return null;
        heard[..count].Sort();
        return heard[count - needed];
    }

    private FencedSilo? Learn(Guid incarnation, TimeSpan now)
    {
        if (incarnation == self.Incarnation)
        {
            _fencedSelf = true;
            return null;
        }

        if (_fenced.TryGetValue(incarnation, out var known)) return known;
        if (_fenced.Count >= MaxFenced) _fenced.Remove(_fenced.MinBy(f => f.Value.KnownAt).Key);
        return _fenced[incarnation] = new FencedSilo(now);
    }

    private Guid[] FencedNow() => [.. _fenced.OrderByDescending(f => f.Value.KnownAt).Select(f => f.Key)];

    private static TimeSpan Later(TimeSpan? one, TimeSpan other) => one is { } at && at > other ? at : other;

    private sealed class Peer(Guid incarnation)
    {
        public Guid Incarnation => incarnation;

        /// <summary>When the last heartbeat was sent that it accepted.</summary>
        public TimeSpan? HeardAt { get; set; }

        public TimeSpan? StoreAt { get; set; }

        /// <summary>Whose heartbeats it refuses, and since when that is known here.</summary>
        public Dictionary<Guid, TimeSpan> Refuses { get; } = [];
    }

    private sealed class FencedSilo(TimeSpan knownAt)
    {
        /// <summary>Since when this silo refuses its heartbeats.</summary>
        public TimeSpan KnownAt => knownAt;

        /// <summary>Null: the store has not told yet.</summary>
        public IReadOnlyList<IReadOnlyList<Voter>>? Voters { get; set; }
    }
}
