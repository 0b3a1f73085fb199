namespace Relay.Protocol.WireGuard;

/// <summary>
/// The timers of one peer, whitepaper §6.4–6.5, as times in ticks at which something is to be done. The data path sets them
/// with plain writes from any thread: when two meet, the one or the other holds, as if the packets had come in that order.
/// </summary>
internal sealed class PeerTimers(WireGuardPeer peer, DeadlineHeap heap)
{
    /// <summary>Not set.</summary>
    public const long Never = long.MaxValue;

    private long _retransmit = Never;
    private long _newHandshake = Never;
    private long _keepalive = Never;
    private long _persistent = Never;
    private long _wipe = Never;
    private bool _anotherKeepalive;
    private long _persistentInterval;

    /// <summary>When the first of them is due.</summary>
    public long Earliest => Math.Min(
        Math.Min(Volatile.Read(ref _retransmit), Volatile.Read(ref _newHandshake)),
        Math.Min(Math.Min(Volatile.Read(ref _keepalive), Volatile.Read(ref _persistent)), Volatile.Read(ref _wipe)));

    /// <summary>Persistent keepalive, §6.5; zero is off.</summary>
    public TimeSpan PersistentKeepalive
    {
        get => new(Volatile.Read(ref _persistentInterval));
        set => Volatile.Write(ref _persistentInterval, value.Ticks);
    }

    /// <summary>A packet with contents was sent: without an answer a new handshake is due.</summary>
    public void DataSent(TimeSpan now, WireGuardEntropy entropy)
    {
        if (Volatile.Read(ref _newHandshake) == Never)
            Set(ref _newHandshake, now + WireGuardSpec.KeepaliveTimeout + WireGuardSpec.RekeyTimeout + entropy.NextJitter());
    }

    /// <summary>A packet with contents was received: something is to be sent in time.</summary>
    public void DataReceived(TimeSpan now)
    {
        if (Volatile.Read(ref _keepalive) == Never) Set(ref _keepalive, now + WireGuardSpec.KeepaliveTimeout);
        else Volatile.Write(ref _anotherKeepalive, true);
    }

    /// <summary>Anything authenticated was sent.</summary>
    public void AnySent(TimeSpan now)
    {
        Clear(ref _keepalive);
        Traversed(now);
    }

    /// <summary>Anything authenticated was received.</summary>
    public void AnyReceived(TimeSpan now)
    {
        Clear(ref _newHandshake);
        Traversed(now);
    }

    /// <summary>An initiation was sent: it is repeated until it is answered.</summary>
    public void InitiationSent(TimeSpan now, TimeSpan jitter) => Set(ref _retransmit, now + WireGuardSpec.RekeyTimeout + jitter);

    /// <summary>A handshake is over.</summary>
    public void HandshakeDone() => Clear(ref _retransmit);

    /// <summary>There are new keys: all keys are wiped when no newer ones come for long, §6.3.</summary>
    public void KeysDerived(TimeSpan now) => Set(ref _wipe, now + (3 * WireGuardSpec.RejectAfterTime));

    /// <summary>An initiation was sent that is not repeated: what is kept for its answer is wiped in time.</summary>
    public void Invited(TimeSpan now)
    {
        if (Volatile.Read(ref _wipe) == Never) KeysDerived(now);
    }

    /// <summary>Handshakes are given up: no more repeats, and the keys are wiped in time.</summary>
    public void GivenUp(TimeSpan now)
    {
        Clear(ref _retransmit);
        Clear(ref _keepalive);
        if (Volatile.Read(ref _wipe) == Never) KeysDerived(now);
    }

    /// <summary>Starts persistent keepalives at once, as when the interval was just set.</summary>
    public void StartPersistent(TimeSpan now)
    {
        if (PersistentKeepalive > TimeSpan.Zero) Set(ref _persistent, now);
        else Clear(ref _persistent);
    }

    /// <summary>Takes what is due at this time off the timers.</summary>
    public PeerDuties TakeDue(TimeSpan now)
    {
        PeerDuties due = PeerDuties.None;
        if (TryTake(ref _retransmit, now)) due |= PeerDuties.Retransmit;
        if (TryTake(ref _newHandshake, now)) due |= PeerDuties.NewHandshake;
        if (TryTake(ref _persistent, now)) due |= PeerDuties.Keepalive;
        if (TryTake(ref _wipe, now)) due |= PeerDuties.Wipe;
        if (TryTake(ref _keepalive, now))
        {
            due |= PeerDuties.Keepalive;
            if (Volatile.Read(ref _anotherKeepalive))
            {
                Volatile.Write(ref _anotherKeepalive, false);
                due |= PeerDuties.AnotherKeepalive;
            }
        }

        return due;
    }

    /// <summary>Sets all back; the interval of persistent keepalives stays.</summary>
    public void ClearAll()
    {
        Clear(ref _retransmit);
        Clear(ref _newHandshake);
        Clear(ref _keepalive);
        Clear(ref _persistent);
        Clear(ref _wipe);
    }

    private static void Clear(ref long timer)
    {
        if (Volatile.Read(ref timer) != Never) Volatile.Write(ref timer, Never);
    }

    private static bool TryTake(ref long timer, TimeSpan now)
    {
        if (Volatile.Read(ref timer) > now.Ticks) return false;
        Volatile.Write(ref timer, Never);
        return true;
    }

    private void Traversed(TimeSpan now)
    {
        long interval = Volatile.Read(ref _persistentInterval);
        if (interval != 0) Set(ref _persistent, new TimeSpan(now.Ticks + interval));
    }

    private void Set(ref long timer, TimeSpan due)
    {
        // A full barrier: either the heap's look at this timer sees it, or the comparison in Schedule sees that the heap has
        // taken the entry out.
        bool wasSet = Interlocked.Exchange(ref timer, due.Ticks) != Never;
        if (!wasSet || Volatile.Read(ref peer.Deadline.Due) > due.Ticks) heap.Schedule(peer, due.Ticks);
    }
}

/// <summary>What a peer's timers ask for.</summary>
[Flags]
internal enum PeerDuties
{
    None = 0,

    /// <summary>Repeat the initiation, or give up.</summary>
    Retransmit = 1,

    /// <summary>Initiate: what was sent has not been answered.</summary>
    NewHandshake = 2,

    /// <summary>Send an empty packet.</summary>
    Keepalive = 4,

    /// <summary>More was received after the keepalive's timer was set: set it again.</summary>
    AnotherKeepalive = 8,

    /// <summary>Wipe all keys.</summary>
    Wipe = 16,
}
