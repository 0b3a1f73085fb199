using System.Text;

namespace Relay.Protocol.Ssh;

/// <summary>What <see cref="SshTransport.Read"/> found.</summary>
internal enum SshReadResult
{
    /// <summary>More bytes are needed; nothing was consumed.</summary>
    NeedMore,

    /// <summary>Bytes were consumed that are no packet (a line before or with the identification).</summary>
    Skipped,

    /// <summary>A packet; give its payload to <see cref="SshTransport.Handle"/>.</summary>
    Packet,
}

/// <summary>What the caller has to do with a payload after <see cref="SshTransport.Handle"/>.</summary>
internal enum SshHandled
{
    /// <summary>Nothing: the transport dealt with it.</summary>
    Done,

    /// <summary>It belongs to authentication or the connection protocol.</summary>
    Upper,

    /// <summary>Client: decide about <see cref="SshTransport.OfferedHostKey"/>, then call <see cref="SshTransport.AcceptHostKey"/>.</summary>
    VerifyHostKey,
}

/// <summary>
/// The transport layer of RFC 4253 for either role, without I/O: bytes in by <see cref="Read"/> and
/// <see cref="Handle"/>, bytes out through <see cref="Writer"/>, the time passed in. A violation throws
/// <see cref="SshException"/> with the code to send; that is the end of the connection.
/// <para>
/// <see cref="Read"/> belongs to the one reader and touches inbound state only, so it may run beside
/// <see cref="Send"/>; all other members need the caller's lock.
/// </para>
/// </summary>
internal sealed class SshTransport : IDisposable
{
    private readonly SshTransportOptions _options;
    private readonly SshPacketReader _reader = new();
    private readonly SshPacketWriter _writer = new();
    private readonly SshIdentificationReader _identification;
    private readonly SshKexState _kex;
    private int _bytesBeforeAuth;
    private int _extInfos;

    public SshTransport(SshTransportOptions options)
    {
        _options = options;
        _identification = new(options.Role);
        LocalVersion = "SSH-2.0-" + options.SoftwareVersion;
        _kex = new SshKexState(options, _reader, _writer, LocalVersion);
    }

    public SshRole Role => _options.Role;

    public SshPhase Phase { get; private set; } = SshPhase.Identification;

    /// <summary>This side's identification string without CR LF.</summary>
    public string LocalVersion { get; }

    /// <summary>The peer's identification string without CR LF; empty until it came.</summary>
    public string PeerVersion { get; private set; } = "";

    /// <summary>H of the first exchange; null until then.</summary>
    public byte[]? SessionId => _kex.SessionId;

    /// <summary>Result of the last finished key exchange.</summary>
    public SshAlgorithms? Algorithms => _kex.Algorithms;

    /// <summary>Client: the server's server-sig-algs; null when it sent none.</summary>
    public IReadOnlyList<string>? ServerSignatureAlgorithms { get; private set; }

    /// <summary>Client: the host key that waits for a decision, or was accepted last.</summary>
    public SshHostKey? OfferedHostKey => _kex.OfferedHostKey;

    /// <summary>Bytes to send; taken by the driver.</summary>
    public SshPacketWriter Writer => _writer;

    /// <summary>Packets received, ever.</summary>
    public ulong PacketsReceived => _reader.TotalPackets;

    /// <summary>Key exchanges finished, the first included.</summary>
    public int KeyExchanges => _kex.Count;

    /// <summary>True between this side's KEXINIT and NEWKEYS, when RFC 4253 §7.1 allows nothing else to be sent.</summary>
    public bool IsSendBlocked => _kex.IsSendBlocked;

    /// <summary>Sends the identification string and the first KEXINIT; neither waits for the peer.</summary>
    public void Start(TimeSpan now)
    {
        _writer.WriteRaw(Encoding.ASCII.GetBytes(LocalVersion + "\r\n"));
        _kex.Begin(now);
    }

    /// <summary>Takes one packet, or one line, from the front of <paramref name="input"/> and decrypts it in place.</summary>
    /// <param name="input">Bytes received and not consumed yet.</param>
    /// <param name="consumed">Bytes to drop from the front once the payload is handled.</param>
    /// <param name="payloadStart">Where the payload begins in <paramref name="input"/>.</param>
    /// <param name="payloadLength">At least 1 when a packet was found.</param>
    /// <param name="needed">With NeedMore: bytes wanted in all, as far as known.</param>
    public SshReadResult Read(Span<byte> input, out int consumed, out int payloadStart, out int payloadLength, out int needed)
    {
        payloadStart = payloadLength = needed = 0;
        if (Phase == SshPhase.Identification)
        {
            if (!_identification.TryReadLine(input, out consumed, out var version))
            {
                needed = input.Length + 1;
                return SshReadResult.NeedMore;
            }

            if (version is not null)
            {
                PeerVersion = version;
                Phase = SshPhase.KeyExchange;
            }

            return SshReadResult.Skipped;
        }

        if (!_reader.TryRead(input, out consumed, out payloadStart, out payloadLength, out needed))
            return SshReadResult.NeedMore;
        if (Phase < SshPhase.Connected)
            CountBeforeAuth(consumed);
        return SshReadResult.Packet;
    }

    /// <summary>Judges one payload by <see cref="SshMessageRules"/> and handles what belongs to the transport.</summary>
    public SshHandled Handle(ReadOnlySpan<byte> payload, TimeSpan now)
    {
        var number = payload[0];
        if (_kex.TakeWrongGuess(number))
            return SshHandled.Done;
        switch (SshMessageRules.Check(Role, Phase, _kex.Step, _kex.IsStrict, number))
        {
            case SshMessageVerdict.Ignore:
                return SshHandled.Done;
            case SshMessageVerdict.Unimplemented:
                SendUnimplemented();
                return SshHandled.Done;
            case SshMessageVerdict.Violation:
                throw SshException.Protocol($"Message {number} is not allowed now ({Phase}).");
        }

        switch (number)
        {
            case SshMessageNumber.Disconnect:
                throw SshDisconnectMessage.Parse(payload);
            case SshMessageNumber.Ignore or SshMessageNumber.Debug or SshMessageNumber.Unimplemented:
                return SshHandled.Done;
            case SshMessageNumber.ExtInfo:
                OnExtInfo(payload);
                return SshHandled.Done;
            case SshMessageNumber.KexInit:
                _kex.OnInit(payload, PeerVersion, now);
                return SshHandled.Done;
            case SshMessageNumber.KexEcdhInit:
                _kex.OnEcdhInit(payload);
                return SshHandled.Done;
            case SshMessageNumber.KexEcdhReply:
                return _kex.OnEcdhReply(payload) ? SshHandled.VerifyHostKey : SshHandled.Done;
            case SshMessageNumber.NewKeys:
                _kex.OnNewKeys(payload, now);
                if (Phase == SshPhase.KeyExchange)
                    Phase = SshPhase.Service;
                return SshHandled.Done;
            default:
                return SshHandled.Upper;
        }
    }

    /// <summary>Client: the host key is the right one; NEWKEYS goes out.</summary>
    public void AcceptHostKey() => _kex.AcceptHostKey();

    /// <summary>The service ssh-userauth is agreed on.</summary>
    public void EnterAuthentication() => Phase = SshPhase.Authentication;

    /// <summary>The user is authenticated: the pre-authentication limits end.</summary>
    public void EnterConnected()
    {
        Phase = SshPhase.Connected;
        _reader.MaximumPacketLength = SshLimits.MaximumPacketLength;
    }

    /// <summary>Sends one payload, or keeps it until the key exchange under way is over.</summary>
    /// <exception cref="SshException">More is waiting than the limit (L15).</exception>
    public void Send(ReadOnlySpan<byte> payload) => _kex.Send(payload);

    /// <summary>Sends SSH_MSG_DISCONNECT, allowed at any time.</summary>
    public void SendDisconnect(SshDisconnectReason reason, string message)
        => _writer.Write(SshDisconnectMessage.ToPayload(reason, message));

    /// <summary>Starts a new key exchange now unless one is running.</summary>
    public void Rekey(TimeSpan now)
    {
        if (Phase == SshPhase.Connected)
            _kex.Begin(now);
    }

    /// <summary>Starts a key exchange that is due; for writers of much data, between their packets.</summary>
    public void RekeyIfDue(TimeSpan now)
    {
        if (Phase == SshPhase.Connected && _kex.IsDue(now))
            _kex.Begin(now);
    }

    /// <summary>Starts a key exchange that is due by bytes, packets or time. Cheap; call it after each batch and by a timer.</summary>
    /// <exception cref="SshException">The exchange under way is over its deadline.</exception>
    public void Tick(TimeSpan now)
    {
        _kex.CheckDeadline(now);
        RekeyIfDue(now);
    }

    public void Dispose()
    {
        _kex.Dispose();
        _reader.Dispose();
        _writer.Dispose();
    }

    private void CountBeforeAuth(int bytes)
    {
        _bytesBeforeAuth += bytes;
        if (_reader.TotalPackets > SshLimits.PacketsBeforeAuth || _bytesBeforeAuth > SshLimits.BytesBeforeAuth)
            throw SshException.Protocol("Too much was sent before authentication.");
    }

    // RFC 4253 §11.4: the number of the packet that was not understood.
    private void SendUnimplemented()
    {
        using var writer = new SshWriter(8);
        writer.WriteByte(SshMessageNumber.Unimplemented);
        writer.WriteUInt32(unchecked(_reader.Sequence - 1));
        Send(writer.WrittenSpan);
    }

    private void OnExtInfo(ReadOnlySpan<byte> payload)
    {
        if (++_extInfos > SshLimits.ExtInfoMessages || !SshExtInfo.TryParse(payload, out var names))
            throw SshException.Protocol("EXT_INFO is malformed or repeated.");
        if (Role == SshRole.Client && names is not null)
            ServerSignatureAlgorithms = names;
    }
}
