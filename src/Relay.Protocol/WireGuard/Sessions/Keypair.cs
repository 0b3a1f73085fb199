using System.Security.Cryptography;
using Relay.Protocol.Crypto;

namespace Relay.Protocol.WireGuard;

/// <summary>
/// The two keys of a session, whitepaper §5.4.5, with its counters. Safe for concurrent use: a key leaves only as a copy into
/// a cipher's context, taken under the lock that wiping takes too, so no packet is ever sealed or opened under a wiped key.
/// </summary>
internal sealed class Keypair : IndexedSession
{
    private const int KeyLength = WireGuardWire.KeyLength;

    // Sending, then receiving. Pinned, so that the collector leaves no copies. Also the lock.
    private readonly byte[] _keys;
    private long _sent;
    private bool _wiped;
    private int _askedForNext;
    private ReplayWindow _received;

    /// <param name="peer">Whose.</param>
    /// <param name="keys">Pinned, 64 bytes: sending, receiving. Owned from now on.</param>
    /// <param name="remoteIndex">The peer's index of the session.</param>
    /// <param name="isInitiator">True: we sent the first message of its handshake.</param>
    /// <param name="createdAt">When the handshake ended on our side.</param>
    public Keypair(WireGuardPeer peer, byte[] keys, uint remoteIndex, bool isInitiator, TimeSpan createdAt)
        : base(peer)
    {
        _keys = keys;
        RemoteIndex = remoteIndex;
        IsInitiator = isInitiator;
        CreatedAt = createdAt;
    }

    public uint RemoteIndex { get; }

    public bool IsInitiator { get; }

    public TimeSpan CreatedAt { get; }

    /// <summary>The counter of the next packet; set by tests only.</summary>
    public ulong NextCounter
    {
        get => unchecked((ulong)Volatile.Read(ref _sent));
        set => Volatile.Write(ref _sent, unchecked((long)value));
    }

    /// <summary>True once the session neither sends nor receives any more for its age, §6.2.</summary>
    public bool IsExpired(TimeSpan now) => now - CreatedAt >= WireGuardSpec.RejectAfterTime;

    /// <summary>True when what was just sent asks for the next session, §6.2.</summary>
    public bool IsDueAfterSending(TimeSpan now) =>
        NextCounter >= WireGuardSpec.RekeyAfterMessages || (IsInitiator && now - CreatedAt >= WireGuardSpec.RekeyAfterTime);

    /// <summary>True, once, when something was received so late that nothing may be sent any more before the session ends, §6.2.</summary>
    public bool TryAskAfterReceiving(TimeSpan now) =>
        IsInitiator
        && now - CreatedAt >= WireGuardSpec.RejectAfterTime - WireGuardSpec.KeepaliveTimeout - WireGuardSpec.RekeyTimeout
        && Interlocked.Exchange(ref _askedForNext, 1) == 0;

    /// <summary>Takes the counter of one packet to send; false at Reject-After-Messages.</summary>
    public bool TryTakeCounter(out ulong counter)
    {
        // SECURITY: looked at before it is counted, so that it stays at the limit however often it is asked: a counter that came
        // round to 0 would use nonces twice. Threads that look at the same moment may pass it by their number, far from 2^13.
        counter = NextCounter;
        if (counter >= WireGuardSpec.RejectAfterMessages) return false;
        counter = unchecked((ulong)Interlocked.Increment(ref _sent) - 1);
        return counter < WireGuardSpec.RejectAfterMessages;
    }

    /// <summary>Copies the sending key; false when it is wiped.</summary>
    public bool TryLoadSendKey(ChaCha20Poly1305Context context) => TryLoad(context, 0);

    /// <summary>Copies the receiving key; false when it is wiped.</summary>
    public bool TryLoadReceiveKey(ChaCha20Poly1305Context context) => TryLoad(context, KeyLength);

    /// <summary>True, once, for each counter of an authentic packet that is new and not too old.</summary>
    public bool TryAccept(ulong counter)
    {
        lock (_keys) return !_wiped && _received.TryAccept(counter);
    }

    /// <summary>Ends the session: the keys are gone.</summary>
    public void Wipe()
    {
        lock (_keys)
        {
            _wiped = true;
            CryptographicOperations.ZeroMemory(_keys);
        }
    }

    private bool TryLoad(ChaCha20Poly1305Context context, int offset)
    {
        lock (_keys)
        {
            if (_wiped) return false;
            context.SetKey(_keys.AsSpan(offset, KeyLength));
            return true;
        }
    }
}
