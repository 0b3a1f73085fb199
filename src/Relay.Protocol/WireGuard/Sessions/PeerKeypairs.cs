namespace Relay.Protocol.WireGuard;

/// <summary>
/// The previous, the current and the next key pair of a peer, whitepaper §6.3: we send in the current one and receive in all. A
/// responder's new one is next until a packet proves that the initiator has it. Changes are made under the peer's lock,
/// reads need none.
/// </summary>
internal sealed class PeerKeypairs(SessionIndexTable indices)
{
    private volatile Keypair? _previous;
    private volatile Keypair? _current;
    private volatile Keypair? _next;

    /// <summary>What packets are sent in; null without a session.</summary>
    public Keypair? Current => _current;

    /// <summary>Made as responder and not confirmed yet.</summary>
    public Keypair? Next => _next;

    public Keypair? Previous => _previous;

    /// <summary>Our initiation was answered: the response has proven that the peer has the keys, so they are current at once.</summary>
    public void InstallAsInitiator(Keypair keypair)
    {
        if (_next is { } next)
        {
            // A handshake the other way is under way too; the peer may send in it, or already does.
            _next = null;
            Retire(_previous);
            Retire(_current);
            _previous = next;
        }
        else
        {
            Retire(_previous);
            _previous = _current;
        }

        _current = keypair;
    }

    /// <summary>We answered an initiation: the keys are next. What was previous is gone, so that no more than three are kept.</summary>
    public void InstallAsResponder(Keypair keypair)
    {
        Retire(_next);
        Retire(_previous);
        _previous = null;
        _next = keypair;
    }

    /// <summary>A packet came in the next key pair: it is current from now on. False when it is not the next one (any more).</summary>
    public bool TryConfirm(Keypair keypair)
    {
        if (_next != keypair) return false;
        Retire(_previous);
        _previous = _current;
        _current = keypair;
        _next = null;
        return true;
    }

    /// <summary>Ends all sessions and wipes their keys.</summary>
    public void Clear()
    {
        Retire(_previous);
        Retire(_current);
        Retire(_next);
        _previous = _current = _next = null;
    }

    private void Retire(Keypair? keypair)
    {
        if (keypair is null) return;
        indices.Remove(keypair);
        keypair.Wipe();
    }
}
