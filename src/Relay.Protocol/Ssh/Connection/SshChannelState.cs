namespace Relay.Protocol.Ssh;

/// <summary>
/// One channel of RFC 4254 §5 without I/O: numbers, windows of both directions, EOF and CLOSE of both directions.
/// Not thread-safe.
/// </summary>
internal sealed class SshChannelState(uint localId, uint receiveWindow)
{
    private readonly uint _receiveWindow = receiveWindow;
    private SshWindow _send;
    private SshWindow _receive = new(receiveWindow);
    private uint _credit;
    private uint _worthSending;

    public uint LocalId => localId;

    public uint RemoteId { get; private set; }

    /// <summary>Largest data the peer takes in one message; ours is the bound of what we send.</summary>
    public uint MaximumData { get; private set; }

    /// <summary>Window granted at the opening.</summary>
    public uint InitialReceiveWindow => _receiveWindow;

    /// <summary>Confirmed by whoever had to; data may flow.</summary>
    public bool IsOpen { get; private set; }

    public bool EofSent { get; set; }

    public bool EofReceived { get; private set; }

    public bool CloseSent { get; set; }

    public bool CloseReceived { get; private set; }

    /// <summary>The program's exit-status or exit-signal has been sent: its user has all there is to come but the last output.</summary>
    public bool ExitSent { get; set; }

    /// <summary>Open, closed by neither side, and its program has not exited.</summary>
    public bool IsInUse => IsOpen && !CloseSent && !CloseReceived && !ExitSent;

    /// <summary>Bytes the peer lets us send now.</summary>
    public uint SendAvailable => _send.Available;

    /// <summary>True when data and EOF may still be sent.</summary>
    public bool CanSendData => IsOpen && !EofSent && !CloseSent && !CloseReceived;

    /// <summary>Both numbers are known from here on.</summary>
    public void Open(uint remoteId, uint window, uint maximumData)
    {
        RemoteId = remoteId;
        _send = new(window);
        MaximumData = Math.Min(maximumData, SshLimits.MaximumChannelData);
        _worthSending = Math.Min(window / 4, SshLimits.OutputHighWater);
        IsOpen = true;
    }

    /// <summary>Uses the peer's window for as much of <paramref name="wanted"/> as one message may carry; 0 when it is closed.</summary>
    public int UseSend(int wanted)
    {
        var length = Math.Min((uint)wanted, Math.Min(_send.Available, MaximumData));
        _send.TryUse(length);
        return (int)length;
    }

    /// <summary>
    /// True when a writer of this many more bytes should go on. Peers give the window back in small steps; going on at
    /// each of them costs a wake-up and a small packet every time.
    /// </summary>
    public bool IsWorthSending(int wanted) => _send.Available >= Math.Min((uint)wanted, _worthSending);

    /// <summary>SSH_MSG_CHANNEL_WINDOW_ADJUST.</summary>
    public void OnWindowAdjust(uint bytes)
    {
        Require(!CloseReceived, "WINDOW_ADJUST after CLOSE");
        // RFC 4254 §5.2: the window MUST NOT pass 2^32-1.
        if (!_send.TryGrow(bytes))
            throw SshException.Protocol("A channel's window was adjusted past 2^32-1.");
    }

    /// <summary>SSH_MSG_CHANNEL_DATA or _EXTENDED_DATA of this many bytes.</summary>
    public void OnData(int length)
    {
        Require(!EofReceived && !CloseReceived, "data after EOF or CLOSE");
        if (length > SshLimits.MaximumChannelData)
            throw SshException.Protocol("Channel data is larger than the maximum packet size.");
        if (!_receive.TryUse((uint)length))
            throw SshException.Protocol("Channel data is larger than the window.");
    }

    /// <summary>SSH_MSG_CHANNEL_EOF.</summary>
    public void OnEof()
    {
        Require(!EofReceived && !CloseReceived, "EOF after EOF or CLOSE");
        EofReceived = true;
    }

    /// <summary>SSH_MSG_CHANNEL_CLOSE.</summary>
    public void OnClose()
    {
        Require(!CloseReceived, "CLOSE after CLOSE");
        CloseReceived = true;
    }

    /// <summary>Any other message to the channel.</summary>
    public void OnMessage() => Require(!CloseReceived, "a message after CLOSE");

    /// <summary>
    /// Data was read by the application. Returns the bytes to give back in a WINDOW_ADJUST now, 0 as long as it does not
    /// pay: an eighth of the window is given back at a time.
    /// </summary>
    public uint OnConsumed(int bytes)
    {
        _credit += (uint)bytes;
        if (_credit < _receiveWindow / 8 || EofReceived || CloseReceived || CloseSent)
            return 0;
        var adjust = _credit;
        _credit = 0;
        _receive.TryGrow(adjust);
        return adjust;
    }

    private void Require(bool condition, string what)
    {
        if (!condition || !IsOpen)
            throw SshException.Protocol($"Channel {localId}: {(IsOpen ? what : "a message before it is open")}.");
    }
}
