using System.Threading.Channels;

namespace Relay.Protocol.Ssh;

/// <summary>
/// Connection protocol of RFC 4254 on one link: takes each message to its channel, request or waiter. Everything runs
/// with the gate held, the waking of readers once per batch.
/// </summary>
internal sealed class SshReceiver
{
    private const int MaximumTypeData = 64 * 1024;
    private readonly SshConnection _connection;
    private readonly SshLink _link;
    private readonly SshChannelTable _channels;
    private readonly List<SshChannel> _touched = [];
    private readonly List<SshChannel> _blocked = [];
    private readonly Channel<SshIncoming> _incoming = Channel.CreateBounded<SshIncoming>(
        new BoundedChannelOptions(SshLimits.IncomingQueue) { SingleWriter = true, FullMode = BoundedChannelFullMode.Wait });
    private bool _noMoreSessions;
    private bool _ended;

    public SshReceiver(SshConnection connection, SshLink link, int maximumChannels)
    {
        _connection = connection;
        _link = link;
        _channels = new(maximumChannels);
        Requests = new(link);
    }

    public SshGlobalRequests Requests { get; }

    public ChannelReader<SshIncoming> Incoming => _incoming.Reader;

    /// <summary>Channels of both sides that are not closed by both. For tests.</summary>
    public int ChannelCount => _channels.Count;

    /// <summary>True while a channel of either side is in use. Gate held.</summary>
    public bool IsBusy => _channels.ToArray().Any(c => c.State.IsInUse);

    /// <summary>Takes one payload. Gate held.</summary>
    public void Dispatch(ReadOnlySpan<byte> payload)
    {
        var reader = new SshReader(payload);
        reader.TryReadByte(out var number);
        switch (number)
        {
            case SshMessageNumber.ChannelData:
                OnData(ref reader);
                break;
            case SshMessageNumber.ChannelWindowAdjust:
                OnWindowAdjust(ref reader);
                break;
            case SshMessageNumber.ChannelExtendedData:
                OnExtendedData(ref reader);
                break;
            case SshMessageNumber.ChannelRequest:
                OnChannelRequest(ref reader);
                break;
            case SshMessageNumber.ChannelOpen:
                OnOpen(ref reader);
                break;
            case SshMessageNumber.ChannelOpenConfirmation:
                OnOpenConfirmation(ref reader);
                break;
            case SshMessageNumber.ChannelOpenFailure:
                OnOpenFailure(ref reader);
                break;
            case SshMessageNumber.GlobalRequest:
                OnGlobalRequest(ref reader);
                break;
            case SshMessageNumber.RequestSuccess or SshMessageNumber.RequestFailure:
                Requests.OnReply(number == SshMessageNumber.RequestSuccess, reader.Rest);
                break;
            default:
                OnShort(number, ref reader);
                break;
        }

        // A peer that keeps asking and never reads the answers is cut.
        if (_link.Transport.Writer.Pending > SshLimits.OutputLimit)
            throw SshException.Protocol("The peer does not read what it asked for.");
    }

    /// <summary>Wakes the readers of channels that got something. Gate held.</summary>
    public void WakeReaders()
    {
        foreach (var channel in _touched)
            channel.WakeReader();
        _touched.Clear();
    }

    /// <summary>Wakes the writers that wait for the connection. Gate held.</summary>
    public void WakeWriters()
    {
        if (_blocked.Count == 0 || _link.MustWait)
            return;
        foreach (var channel in _blocked)
            channel.WakeWriter();
        _blocked.Clear();
    }

    /// <summary>Lets every writer try what little window it has, so that a miserly peer cannot stall one. Gate held.</summary>
    public void WakeAllWriters()
    {
        foreach (var channel in _channels.ToArray())
            channel.WakeWriter();
    }

    public void AddBlocked(SshChannel channel)
    {
        if (!_blocked.Contains(channel))
            _blocked.Add(channel);
    }

    /// <summary>Sends CHANNEL_OPEN. Gate held.</summary>
    public (SshChannel Channel, Task Opened) BeginOpen(string type, ReadOnlySpan<byte> typeData)
    {
        ThrowIfEnded();
        var channel = Add(type, fromPeer: false);
        var opened = channel.BeginOpening();
        _link.Scratch.Clear();
        SshChannelMessages.Open(_link.Scratch, type, channel.LocalId, channel.State.InitialReceiveWindow, typeData);
        _link.Transport.Send(_link.Scratch.WrittenSpan);
        return (channel, opened);
    }

    public void AcceptOpen(SshChannel channel, uint remoteId, uint window, uint maximumData, ReadOnlySpan<byte> data)
    {
        lock (_link.Gate)
        {
            ThrowIfEnded();
            channel.State.Open(remoteId, window, maximumData);
            _link.Scratch.Clear();
            SshChannelMessages.OpenConfirmation(_link.Scratch, remoteId, channel.LocalId, channel.State.InitialReceiveWindow, data);
            _link.Transport.Send(_link.Scratch.WrittenSpan);
        }

        _link.Flush();
    }

    public void RejectOpen(SshChannel channel, uint remoteId, SshChannelOpenReason reason, string description)
    {
        lock (_link.Gate)
        {
            if (_ended)
                return;
            _channels.Remove(channel);
            SendOpenFailure(remoteId, reason, description);
        }

        _link.Flush();
    }

    /// <summary>The connection ended: everything that waits is told. Gate held.</summary>
    public void End()
    {
        _ended = true;
        foreach (var channel in _channels.ToArray())
            channel.OnConnectionEnded();
        Requests.Fail(_connection.EndedError());
        _blocked.Clear();
        // A channel that was closed by the same bytes that ended the connection is in no table any more.
        WakeReaders();
        _incoming.Writer.TryComplete();
    }

    /// <summary>The channel is closed on both sides. Gate held.</summary>
    public void Remove(SshChannel channel) => _channels.Remove(channel);

    private static SshException Malformed(string message) => SshException.Protocol($"{message} is malformed.");

    private void ThrowIfEnded()
    {
        if (_ended)
            throw _connection.EndedError();
    }

    private SshChannel Add(string type, bool fromPeer)
    {
        var window = _channels.Count < SshLimits.WideChannels ? SshLimits.Window : SshLimits.NarrowWindow;
        var channel = new SshChannel(_connection, _link, type, _channels.NextId, window, fromPeer);
        _channels.Add(channel);
        return channel;
    }

    private SshChannel Find(uint id)
        => _channels.TryGet(id, out var channel) ? channel : throw SshException.Protocol($"There is no channel {id}.");

    private void Touch(SshChannel channel)
    {
        if (_touched.Count == 0 || !ReferenceEquals(_touched[^1], channel))
            _touched.Add(channel);
    }

    private void OnData(ref SshReader reader)
    {
        if (!reader.TryReadUInt32(out var id) || !reader.TryReadString(out var data) || !reader.IsAtEnd)
            throw Malformed("CHANNEL_DATA");
        var channel = Find(id);
        channel.OnData(null, data);
        Touch(channel);
    }

    private void OnExtendedData(ref SshReader reader)
    {
        if (!reader.TryReadUInt32(out var id) || !reader.TryReadUInt32(out var type) || !reader.TryReadString(out var data) || !reader.IsAtEnd)
            throw Malformed("CHANNEL_EXTENDED_DATA");
        var channel = Find(id);
        channel.OnData(type, data);
        Touch(channel);
    }

    private void OnWindowAdjust(ref SshReader reader)
    {
        if (!reader.TryReadUInt32(out var id) || !reader.TryReadUInt32(out var bytes) || !reader.IsAtEnd)
            throw Malformed("CHANNEL_WINDOW_ADJUST");
        Find(id).OnWindowAdjust(bytes);
    }

    private void OnChannelRequest(ref SshReader reader)
    {
        if (!reader.TryReadUInt32(out var id) || !reader.TryReadText(SshReader.MaximumNameLength, out var type) || !reader.TryReadBoolean(out var wantReply))
            throw Malformed("CHANNEL_REQUEST");
        var channel = Find(id);
        channel.OnRequest(type, wantReply, reader.Rest);
        Touch(channel);
    }

    // EOF, CLOSE, SUCCESS, FAILURE.
    private void OnShort(byte number, ref SshReader reader)
    {
        if (!reader.TryReadUInt32(out var id) || !reader.IsAtEnd)
            throw Malformed($"Message {number}");
        var channel = Find(id);
        switch (number)
        {
            case SshMessageNumber.ChannelEof:
                channel.OnEof();
                break;
            case SshMessageNumber.ChannelClose:
                channel.OnClose();
                _channels.Remove(channel);
                break;
            default:
                channel.OnReply(number == SshMessageNumber.ChannelSuccess);
                break;
        }

        Touch(channel);
    }

    private void OnOpen(ref SshReader reader)
    {
        if (!reader.TryReadText(SshReader.MaximumNameLength, out var type) || !reader.TryReadUInt32(out var remoteId)
            || !reader.TryReadUInt32(out var window) || !reader.TryReadUInt32(out var maximumData) || reader.Remaining > MaximumTypeData)
        {
            throw Malformed("CHANNEL_OPEN");
        }

        if (_noMoreSessions && type == "session")
        {
            SendOpenFailure(remoteId, SshChannelOpenReason.AdministrativelyProhibited, "The client asked for no more sessions.");
            return;
        }

        if (_channels.IsFullForPeer)
        {
            SendOpenFailure(remoteId, SshChannelOpenReason.ResourceShortage, "Too many channels are open.");
            return;
        }

        var channel = Add(type, fromPeer: true);
        var open = new SshChannelOpen(_connection, this, channel, remoteId, window, maximumData, reader.Rest.ToArray());
        if (_incoming.Writer.TryWrite(open))
            return;
        _channels.Remove(channel);
        SendOpenFailure(remoteId, SshChannelOpenReason.ResourceShortage, "Too many channels are being opened.");
    }

    private void OnOpenConfirmation(ref SshReader reader)
    {
        if (!reader.TryReadUInt32(out var id) || !reader.TryReadUInt32(out var remoteId)
            || !reader.TryReadUInt32(out var window) || !reader.TryReadUInt32(out var maximumData))
        {
            throw Malformed("CHANNEL_OPEN_CONFIRMATION");
        }

        var channel = Opening(id);
        channel.State.Open(remoteId, window, maximumData);
        channel.EndOpening(null);
    }

    private void OnOpenFailure(ref SshReader reader)
    {
        if (!reader.TryReadUInt32(out var id) || !reader.TryReadUInt32(out var reason) || !reader.TryReadString(out var text))
            throw Malformed("CHANNEL_OPEN_FAILURE");
        var channel = Opening(id);
        _channels.Remove(channel);
        channel.EndOpening(new SshChannelOpenException((SshChannelOpenReason)reason, SshDisconnectMessage.Printable(text)));
    }

    private SshChannel Opening(uint id)
    {
        var channel = Find(id);
        return channel.IsOpening ? channel : throw SshException.Protocol($"Channel {id} was not being opened.");
    }

    private void OnGlobalRequest(ref SshReader reader)
    {
        if (!reader.TryReadText(SshReader.MaximumNameLength, out var type) || !reader.TryReadBoolean(out var wantReply) || reader.Remaining > MaximumTypeData)
            throw Malformed("GLOBAL_REQUEST");
        var request = new SshGlobalRequest(_connection, Requests, type, wantReply, reader.Rest.ToArray());
        Requests.Add(request);
        switch (type)
        {
            case "keepalive@openssh.com":
                // OpenSSH answers its own sign of life with a failure; any answer will do.
                Requests.AnswerHeld(request, false, default);
                break;
            case "no-more-sessions@openssh.com":
                _noMoreSessions = true;
                Requests.AnswerHeld(request, true, default);
                break;
            case "hostkeys-00@openssh.com":
                // Other host keys of the server: this client learns none from it.
                Requests.AnswerHeld(request, false, default);
                break;
            default:
                if (!_incoming.Writer.TryWrite(request))
                    Requests.AnswerHeld(request, false, default);
                break;
        }
    }

    private void SendOpenFailure(uint remoteId, SshChannelOpenReason reason, string description)
    {
        _link.Scratch.Clear();
        SshChannelMessages.OpenFailure(_link.Scratch, remoteId, reason, description);
        _link.Transport.Send(_link.Scratch.WrittenSpan);
    }
}
