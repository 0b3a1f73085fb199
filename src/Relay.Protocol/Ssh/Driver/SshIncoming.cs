namespace Relay.Protocol.Ssh;

/// <summary>Something the peer asks of the connection: a <see cref="SshChannelOpen"/> or a <see cref="SshGlobalRequest"/>.</summary>
public abstract class SshIncoming
{
    private protected SshIncoming(SshConnection connection) => Connection = connection;

    /// <summary>The connection it came on.</summary>
    public SshConnection Connection { get; }
}

/// <summary>SSH_MSG_CHANNEL_OPEN, RFC 4254 §5.1. Has to be accepted or rejected, once.</summary>
public sealed class SshChannelOpen : SshIncoming
{
    private readonly SshReceiver _receiver;
    private readonly SshChannel _channel;
    private readonly uint _remoteId;
    private readonly uint _window;
    private readonly uint _maximumData;
    private int _answered;

    internal SshChannelOpen(SshConnection connection, SshReceiver receiver, SshChannel channel, uint remoteId, uint window, uint maximumData, byte[] typeData)
        : base(connection)
    {
        _receiver = receiver;
        _channel = channel;
        _remoteId = remoteId;
        _window = window;
        _maximumData = maximumData;
        TypeData = typeData;
    }

    /// <summary>"session", "direct-tcpip", "forwarded-tcpip", "auth-agent@openssh.com", …</summary>
    public string ChannelType => _channel.ChannelType;

    internal uint LocalId => _channel.LocalId;

    /// <summary>What follows the maximum packet size in the message, by type; see <see cref="SshTcpipOpen"/>.</summary>
    public ReadOnlyMemory<byte> TypeData { get; }

    /// <summary>Opens the channel. Data of the peer is taken from here on, even before the first read.</summary>
    /// <param name="data">Type-specific data of the confirmation; empty for all common types.</param>
    /// <exception cref="SshException">The connection ended.</exception>
    /// <exception cref="InvalidOperationException">Answered before.</exception>
    public ValueTask<SshChannel> AcceptAsync(ReadOnlyMemory<byte> data = default)
    {
        Answer();
        _receiver.AcceptOpen(_channel, _remoteId, _window, _maximumData, data.Span);
        return new(_channel);
    }

    /// <summary>Refuses the channel; its place is free again at once. Does nothing when the connection ended.</summary>
    /// <exception cref="InvalidOperationException">Answered before.</exception>
    public ValueTask RejectAsync(SshChannelOpenReason reason, string description)
    {
        Answer();
        _receiver.RejectOpen(_channel, _remoteId, reason, description);
        return default;
    }

    private void Answer()
    {
        if (Interlocked.Exchange(ref _answered, 1) != 0)
            throw new InvalidOperationException("The channel open was answered before.");
    }
}

/// <summary>SSH_MSG_GLOBAL_REQUEST, RFC 4254 §4.</summary>
public sealed class SshGlobalRequest : SshIncoming
{
    private readonly SshGlobalRequests _requests;

    internal SshGlobalRequest(SshConnection connection, SshGlobalRequests requests, string requestType, bool wantReply, byte[] data)
        : base(connection)
    {
        _requests = requests;
        RequestType = requestType;
        WantReply = wantReply;
        Data = data;
    }

    /// <summary>"tcpip-forward", "cancel-tcpip-forward", …</summary>
    public string RequestType { get; }

    /// <summary>The peer waits for <see cref="ReplyAsync"/>; all later answers wait with it.</summary>
    public bool WantReply { get; }

    /// <summary>What follows "want reply", by type.</summary>
    public ReadOnlyMemory<byte> Data { get; }

    internal bool IsAnswered { get; set; }

    internal bool Success { get; set; }

    internal ReadOnlyMemory<byte> Reply { get; set; }

    /// <summary>Answers; the answers go out in the order of the requests. Does nothing without "want reply" or a second time.</summary>
    public ValueTask ReplyAsync(bool success, ReadOnlyMemory<byte> data = default)
    {
        _requests.Answer(this, success, data);
        return default;
    }
}
