namespace Relay.Protocol.Ssh;

/// <summary>
/// Flow control of one direction of a channel, RFC 4254 §5.2: bytes that may still be sent. At most 2^32-1. Mutable
/// value, not thread-safe.
/// </summary>
internal struct SshWindow(uint initial)
{
    /// <summary>Bytes that may still be sent.</summary>
    public uint Available { get; private set; } = initial;

    /// <summary>SSH_MSG_CHANNEL_WINDOW_ADJUST. False: the sum passes 2^32-1 (RFC 4254 §5.2 MUST NOT); nothing changed.</summary>
    public bool TryGrow(uint bytes)
    {
        if (bytes > uint.MaxValue - Available)
            return false;
        Available += bytes;
        return true;
    }

    /// <summary>Data of this size went. False: it does not fit, nothing changed.</summary>
    public bool TryUse(uint bytes)
    {
        if (bytes > Available)
            return false;
        Available -= bytes;
        return true;
    }
}
