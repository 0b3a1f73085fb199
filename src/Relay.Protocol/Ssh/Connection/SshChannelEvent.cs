namespace Relay.Protocol.Ssh;

/// <summary>What a channel event is.</summary>
public enum SshChannelEventKind
{
    /// <summary>Both sides are done, or the connection ended. The zero value; repeats for ever.</summary>
    Closed,

    /// <summary>SSH_MSG_CHANNEL_DATA. Several messages may come as one event and one message as several.</summary>
    Data,

    /// <summary>SSH_MSG_CHANNEL_EXTENDED_DATA, RFC 4254 §5.2: 1 is stderr.</summary>
    ExtendedData,

    /// <summary>SSH_MSG_CHANNEL_EOF: no more data from the peer; this side may go on sending.</summary>
    Eof,

    /// <summary>SSH_MSG_CHANNEL_REQUEST.</summary>
    Request,
}

/// <summary>One event of a channel, in the order in which the peer sent them.</summary>
/// <param name="Kind">Which of the fields below mean something.</param>
/// <param name="Data">Data, or the request's own payload after "want reply". Valid until the next read of the channel.</param>
/// <param name="ExtendedType">data_type_code of extended data; 1 is SSH_EXTENDED_DATA_STDERR.</param>
/// <param name="RequestType">Name of the request, printable US-ASCII; null for other kinds.</param>
/// <param name="WantReply">The peer waits for <see cref="SshChannel.ReplyAsync"/>.</param>
public readonly record struct SshChannelEvent(
    SshChannelEventKind Kind,
    ReadOnlyMemory<byte> Data = default,
    uint ExtendedType = 0,
    string? RequestType = null,
    bool WantReply = false);
