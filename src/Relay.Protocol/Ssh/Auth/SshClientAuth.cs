namespace Relay.Protocol.Ssh;

/// <summary>
/// Client side of RFC 4252 and RFC 4256, without I/O: certificate, key, password, keyboard-interactive, in this order,
/// each once and only while the server lists it. Not thread-safe.
/// </summary>
internal sealed class SshClientAuth
{
    private const string ConnectionService = "ssh-connection";
    private const int InteractiveRounds = 8;
    private const int InteractivePrompts = 16;
    private const int BannerBytes = 16 * 1024;
    private readonly SshTransport _transport;
    private readonly SshClientOptions _options;
    private readonly Queue<Attempt> _attempts = new();
    private Attempt _current;
    private int _rounds;

    private enum Attempt
    {
        None,
        Certificate,
        Key,
        Password,
        Interactive,
    }

    public SshClientAuth(SshTransport transport, SshClientOptions options)
    {
        _transport = transport;
        _options = options;
        if (options.Key is not null && options.Certificate is not null)
            _attempts.Enqueue(Attempt.Certificate);
        if (options.Key is not null)
            _attempts.Enqueue(Attempt.Key);
        if (options.Password is not null)
        {
            _attempts.Enqueue(Attempt.Password);
            _attempts.Enqueue(Attempt.Interactive);
        }
    }

    /// <summary>True once USERAUTH_SUCCESS came.</summary>
    public bool IsDone { get; private set; }

    /// <summary>What the server sent as banner, reduced to printable characters and 16 KiB; empty when nothing.</summary>
    public string Banner { get; private set; } = "";

    /// <summary>Asks for the service, RFC 4253 §10.</summary>
    public void Start()
    {
        using var writer = new SshWriter(32);
        writer.WriteByte(SshMessageNumber.ServiceRequest);
        writer.WriteString("ssh-userauth");
        _transport.Send(writer.WrittenSpan);
    }

    /// <exception cref="SshException">NO_MORE_AUTH_METHODS_AVAILABLE, naming what the server would still take.</exception>
    public void Handle(ReadOnlySpan<byte> payload)
    {
        switch (payload[0])
        {
            case SshMessageNumber.ServiceAccept:
                _transport.EnterAuthentication();
                Next(null);
                break;
            case SshMessageNumber.UserAuthSuccess when _current != Attempt.None:
                IsDone = true;
                _transport.EnterConnected();
                break;
            case SshMessageNumber.UserAuthFailure when _current != Attempt.None:
                OnFailure(payload);
                break;
            case SshMessageNumber.UserAuthBanner:
                OnBanner(payload);
                break;
            case SshMessageNumber.UserAuthPkOk when _current == Attempt.Interactive:
                OnInfoRequest(payload);
                break;
            case SshMessageNumber.UserAuthPkOk when _current == Attempt.Password:
                // PASSWD_CHANGEREQ, RFC 4252 §8: nobody is here to choose a new one.
                throw new SshException(SshDisconnectReason.NoMoreAuthMethodsAvailable, "The server wants the password to be changed.");
            default:
                throw SshException.Protocol($"Message {payload[0]} does not answer the authentication request.");
        }
    }

    private void OnFailure(ReadOnlySpan<byte> payload)
    {
        var reader = new SshReader(payload);
        if (!reader.TryReadByte(out _) || !reader.TryReadNameList(out var methods) || !reader.TryReadBoolean(out _) || !reader.IsAtEnd)
            throw SshException.Protocol("USERAUTH_FAILURE is malformed.");
        Next(methods);
    }

    private void OnBanner(ReadOnlySpan<byte> payload)
    {
        var reader = new SshReader(payload);
        if (!reader.TryReadByte(out _) || !reader.TryReadString(out var text))
            throw SshException.Protocol("USERAUTH_BANNER is malformed.");
        if (Banner.Length >= BannerBytes)
            return;
        Banner += SshDisconnectMessage.Printable(text);
        _options.OnBanner?.Invoke(SshDisconnectMessage.Printable(text, lines: true));
    }

    private void Next(string[]? allowed)
    {
        while (_attempts.TryDequeue(out _current))
        {
            var method = _current switch
            {
                Attempt.Password => "password",
                Attempt.Interactive => "keyboard-interactive",
                _ => "publickey",
            };
            if (allowed is not null && !allowed.Contains(method))
                continue;
            if (Send(method))
                return;
        }

        _current = Attempt.None;
        var left = allowed is null ? "" : $" ({string.Join(',', allowed)})";
        throw new SshException(SshDisconnectReason.NoMoreAuthMethodsAvailable, $"The server refused the login of {_options.User}{left}.");
    }

    private bool Send(string method)
    {
        using var writer = new SshWriter(2048);
        writer.WriteByte(SshMessageNumber.UserAuthRequest);
        writer.WriteString(_options.User);
        writer.WriteString(ConnectionService);
        writer.WriteString(method);
        switch (_current)
        {
            case Attempt.Password:
                writer.WriteBoolean(false);
                writer.WriteString(_options.Password!);
                break;
            case Attempt.Interactive:
                writer.WriteString("");
                writer.WriteString("");
                break;
            default:
                if (!TrySign(writer, _current == Attempt.Certificate))
                    return false;
                break;
        }

        _transport.Send(writer.WrittenSpan);
        return true;
    }

    private bool TrySign(SshWriter writer, bool withCertificate)
    {
        var key = _options.Key!;
        var suffix = withCertificate ? SshAlgorithmNames.CertificateSuffix : "";
        var server = _transport.ServerSignatureAlgorithms;
        // RFC 8308 §3.1: only what the server lists; without a list, what the key prefers. OpenSSH lists the plain names only.
        var algorithm = key.PublicKey.SignatureAlgorithms.FirstOrDefault(name => server is null || server.Contains(name) || server.Contains(name + suffix));
        if (algorithm is null)
            return false;
        writer.WriteBoolean(true);
        writer.WriteString(algorithm + suffix);
        writer.WriteString((withCertificate ? _options.Certificate!.Blob : key.PublicKey.Blob).Span);
        using var signed = new SshWriter(2048);
        signed.WriteString(_transport.SessionId);
        signed.WriteBytes(writer.WrittenSpan);
        writer.WriteString(key.Sign(algorithm, signed.WrittenSpan));
        return true;
    }

    // RFC 4256 §3.2: string name, string instruction, string language, int count, count × (string prompt, boolean echo).
    private void OnInfoRequest(ReadOnlySpan<byte> payload)
    {
        var reader = new SshReader(payload);
        if (!reader.TryReadByte(out _) || !reader.TryReadString(out _) || !reader.TryReadString(out _)
            || !reader.TryReadString(out _) || !reader.TryReadUInt32(out var count)
            || count > InteractivePrompts || ++_rounds > InteractiveRounds)
        {
            throw SshException.Protocol("USERAUTH_INFO_REQUEST is malformed or repeated too often.");
        }

        using var writer = new SshWriter();
        writer.WriteByte(SshMessageNumber.UserAuthInfoResponse);
        writer.WriteUInt32(count);
        for (var i = 0u; i < count; i++)
        {
            if (!reader.TryReadString(out _) || !reader.TryReadBoolean(out var echo))
                throw SshException.Protocol("USERAUTH_INFO_REQUEST is malformed.");
            // A prompt that is echoed does not ask for a secret: it gets none.
            writer.WriteString(echo ? "" : _options.Password!);
        }

        _transport.Send(writer.WrittenSpan);
    }
}
