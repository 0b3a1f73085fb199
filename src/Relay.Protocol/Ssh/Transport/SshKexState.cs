namespace Relay.Protocol.Ssh;

/// <summary>
/// Key exchanges of one connection, RFC 4253 §7: the first and every later one, either side starting it. Holds back
/// what must not be sent meanwhile. Not thread-safe.
/// </summary>
internal sealed class SshKexState(SshTransportOptions options, SshPacketReader reader, SshPacketWriter writer, string localVersion)
    : IDisposable
{
    private readonly Queue<byte[]> _held = new();
    private readonly bool _isServer = options.Role == SshRole.Server;
    private int _heldBytes;
    private byte[]? _localInit;
    private SshKexInit? _local;
    private SshKexExchange? _exchange;
    private SshKeyEpoch? _epoch;
    private TimeSpan _startedAt;
    private TimeSpan _lastKeyAt;
    private TimeSpan _earlySince;
    private int _earlyExchanges;
    private bool _ignoreGuess;
    private bool _peerTakesExtInfo;

    public SshKexStep Step { get; private set; }

    /// <summary>Strict key exchange, agreed in the first KEXINIT for the whole connection.</summary>
    public bool IsStrict { get; private set; }

    /// <summary>See <see cref="SshTransport.IsSendBlocked"/>.</summary>
    public bool IsSendBlocked { get; private set; }

    public byte[]? SessionId { get; private set; }

    public SshAlgorithms? Algorithms { get; private set; }

    public SshHostKey? OfferedHostKey { get; private set; }

    /// <summary>Exchanges finished.</summary>
    public int Count { get; private set; }

    private bool IsRunning => _localInit is not null || Step != SshKexStep.Idle;

    /// <summary>Sends KEXINIT unless an exchange is running.</summary>
    public void Begin(TimeSpan now)
    {
        if (IsRunning)
            return;
        _startedAt = now;
        SendInit();
    }

    /// <summary>True when a new exchange should start.</summary>
    public bool IsDue(TimeSpan now)
        => !IsRunning
            && (writer.Bytes >= (ulong)options.RekeyBytes || reader.Bytes >= (ulong)options.RekeyBytes
                || writer.Packets >= SshLimits.PacketsPerKey || reader.Packets >= SshLimits.PacketsPerKey
                || now - _lastKeyAt >= options.RekeyInterval);

    /// <summary>L15: a peer that never finishes an exchange is cut.</summary>
    public void CheckDeadline(TimeSpan now)
    {
        if (IsRunning && now - _startedAt > SshLimits.KexDeadline)
            throw SshException.KeyExchange("The key exchange did not finish in time.");
    }

    /// <summary>RFC 4253 §7: the packet after a wrong guess is ignored. True: this one was.</summary>
    public bool TakeWrongGuess(byte number)
    {
        if (!_ignoreGuess)
            return false;
        _ignoreGuess = false;
        return number is >= 30 and <= 49;
    }

    /// <summary>Sends, or holds back while only key exchange messages may go.</summary>
    public void Send(ReadOnlySpan<byte> payload)
    {
        if (!IsSendBlocked)
        {
            writer.Write(payload);
            return;
        }

        _heldBytes += payload.Length + 32;
        if (_heldBytes > SshLimits.QueuedDuringKex)
            throw SshException.KeyExchange("Too much is waiting for the end of a key exchange.");
        _held.Enqueue(payload.ToArray());
    }

    public void OnInit(ReadOnlySpan<byte> payload, string peerVersion, TimeSpan now)
    {
        if (!SshKexInit.TryParse(payload, out var peer) || peer is null)
            throw SshException.Protocol("KEXINIT is malformed.");
        if (Count == 0)
        {
            _peerTakesExtInfo = peer.KeyExchanges.Contains(SshAlgorithmNames.ExtInfoClient);
            IsStrict = options.OfferStrictKeyExchange
                && peer.KeyExchanges.Contains(_isServer ? SshAlgorithmNames.StrictClient : SshAlgorithmNames.StrictServer);
            // SECURITY: Terrapin (L3). Strict KEX: the peer's KEXINIT must have been its first packet.
            if (IsStrict && reader.TotalPackets != 1)
                throw SshException.Protocol("Under strict key exchange KEXINIT comes first.");
        }

        if (_localInit is null)
        {
            CountEarly(now);
            _startedAt = now;
            SendInit();
        }

        var (client, server) = _isServer ? (peer, _local!) : (_local!, peer);
        var algorithms = SshNegotiation.Choose(client, server, IsStrict);
        _ignoreGuess = peer.FirstPacketFollows && !SshNegotiation.GuessedRight(client, server);
        _exchange = _isServer
            ? new(algorithms, peerVersion, localVersion, payload.ToArray(), _localInit!)
            : new(algorithms, localVersion, peerVersion, _localInit!, payload.ToArray());
        Step = SshKexStep.Exchange;
        if (!_isServer)
            writer.Write(_exchange.InitPayload());
    }

    public void OnEcdhInit(ReadOnlySpan<byte> payload)
    {
        var algorithm = SshKeyAlgorithm.Of(_exchange!.Algorithms.HostKey);
        var hostKey = options.HostKeys.First(key => key.PublicKey.KeyType == algorithm.BlobType);
        _epoch = _exchange.Answer(payload, hostKey, SessionId, out var reply);
        writer.Write(reply);
        SendNewKeys();
    }

    /// <summary>True: the host key is new and has to be verified; false: it is the one accepted before.</summary>
    public bool OnEcdhReply(ReadOnlySpan<byte> payload)
    {
        _epoch = _exchange!.Conclude(payload, SessionId, out var hostKey);
        // Until the host key is accepted nothing but that answer moves the exchange on.
        var known = OfferedHostKey;
        OfferedHostKey = hostKey;
        if (Count == 0)
            return true;
        if (known is null || !known.Key.Blob.Span.SequenceEqual(hostKey.Key.Blob.Span))
            throw new SshException(SshDisconnectReason.HostKeyNotVerifiable, "The server changed its host key within the connection.");
        AcceptHostKey();
        return false;
    }

    public void AcceptHostKey() => SendNewKeys();

    public void OnNewKeys(ReadOnlySpan<byte> payload, TimeSpan now)
    {
        if (payload.Length != 1)
            throw SshException.Protocol("NEWKEYS is malformed.");
        reader.Rekey(_epoch!.CreateCipher(toServer: _isServer, seal: false), IsStrict);
        _epoch.Dispose();
        _epoch = null;
        _localInit = null;
        _local = null;
        _lastKeyAt = now;
        Count++;
        Step = SshKexStep.Idle;
    }

    public void Dispose()
    {
        _exchange?.Dispose();
        _epoch?.Dispose();
        _held.Clear();
    }

    // An exchange costs this side a signature and the peer, if it wants to, next to nothing: without data it gets few.
    private void CountEarly(TimeSpan now)
    {
        if (Count == 0 || reader.Bytes + writer.Bytes >= SshLimits.BytesPerExchange)
            return;
        if (_earlyExchanges == 0 || now - _earlySince > SshLimits.EarlyExchangePeriod)
            (_earlySince, _earlyExchanges) = (now, 0);
        if (++_earlyExchanges > SshLimits.EarlyExchanges)
            throw SshException.KeyExchange("The peer changes its keys too often.");
    }

    private void SendInit()
    {
        var markers = new List<string>();
        if (!_isServer)
            markers.Add(SshAlgorithmNames.ExtInfoClient);
        if (options.OfferStrictKeyExchange)
            markers.Add(_isServer ? SshAlgorithmNames.StrictServer : SshAlgorithmNames.StrictClient);
        var hostKeys = _isServer ? [.. options.HostKeys.SelectMany(static key => key.PublicKey.SignatureAlgorithms)] : options.HostKeyAlgorithms;
        _local = new(
            [.. options.KeyExchanges, .. markers],
            hostKeys,
            options.Ciphers,
            options.Ciphers,
            SshAlgorithmNames.Macs,
            SshAlgorithmNames.Macs,
            SshAlgorithmNames.Compressions,
            SshAlgorithmNames.Compressions,
            FirstPacketFollows: false);
        _localInit = _local.ToPayload();
        writer.Write(_localInit);
        IsSendBlocked = true;
    }

    private void SendNewKeys()
    {
        writer.Write([SshMessageNumber.NewKeys]);
        SessionId ??= _epoch!.SessionId;
        Algorithms = _epoch!.Algorithms;
        writer.Rekey(_epoch.CreateCipher(toServer: !_isServer, seal: true), IsStrict);
        _exchange!.Dispose();
        _exchange = null;
        Step = SshKexStep.NewKeys;
        IsSendBlocked = false;
        // RFC 8308 §2.4: the first packet after the server's first NEWKEYS.
        if (Count == 0 && _isServer && _peerTakesExtInfo)
            writer.Write(SshExtInfo.ToPayload(SshAlgorithmNames.UserKeys));
        while (_held.TryDequeue(out var payload))
            writer.Write(payload);
        _heldBytes = 0;
    }
}
