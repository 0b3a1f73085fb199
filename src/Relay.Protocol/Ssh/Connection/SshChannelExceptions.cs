namespace Relay.Protocol.Ssh;

/// <summary>The peer refused to open a channel. The message is the peer's text, reduced to printable characters.</summary>
public sealed class SshChannelOpenException : IOException
{
    /// <summary>Makes the error from SSH_MSG_CHANNEL_OPEN_FAILURE.</summary>
    public SshChannelOpenException(SshChannelOpenReason reason, string description)
        : base(description)
    {
        Reason = reason;
    }

    /// <summary>Code of RFC 4254 §5.1.</summary>
    public SshChannelOpenReason Reason { get; }

    /// <summary>The peer's description; may be empty.</summary>
    public string Description => Message;
}

/// <summary>The channel, or the whole connection, is closed: nothing more can be sent on it.</summary>
public sealed class SshChannelClosedException : IOException
{
    /// <summary>Makes the error; the inner exception says why the connection ended, if it did.</summary>
    public SshChannelClosedException(string message, Exception? innerException = null)
        : base(message, innerException)
    {
    }
}
