namespace Relay.Protocol.Ssh;

/// <summary>
/// The end of an SSH connection. The message is safe to show; when <see cref="ByPeer"/> is true it is the peer's own
/// text, reduced to printable characters.
/// </summary>
public class SshException : IOException
{
    /// <summary>Makes the error with the code that goes out, or came in, in SSH_MSG_DISCONNECT.</summary>
    public SshException(SshDisconnectReason reason, string message, bool byPeer = false, Exception? innerException = null)
        : base(message, innerException)
    {
        Reason = reason;
        ByPeer = byPeer;
    }

    /// <summary>Code of RFC 4253 §11.1. <see cref="SshDisconnectReason.ConnectionLost"/> when no DISCONNECT was exchanged.</summary>
    public SshDisconnectReason Reason { get; }

    /// <summary>True when the peer sent SSH_MSG_DISCONNECT; false when this side ended the connection or the transport was lost.</summary>
    public bool ByPeer { get; }

    internal static SshException Protocol(string message) => new(SshDisconnectReason.ProtocolError, message);

    internal static SshException KeyExchange(string message) => new(SshDisconnectReason.KeyExchangeFailed, message);

    internal static SshException Lost(string message, Exception? inner = null)
        => new(SshDisconnectReason.ConnectionLost, message, false, inner);
}
