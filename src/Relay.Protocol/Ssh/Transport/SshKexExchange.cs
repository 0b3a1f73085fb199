namespace Relay.Protocol.Ssh;

/// <summary>
/// One elliptic-curve key exchange after the algorithms are chosen, RFC 5656 §4 and RFC 8731 §3: KEX_ECDH_INIT
/// (byte 30, string Q_C) and KEX_ECDH_REPLY (byte 31, string K_S, string Q_S, string signature of H).
/// </summary>
internal sealed class SshKexExchange : IDisposable
{
    private readonly SshAlgorithms _algorithms;
    private readonly SshKeyExchange _method;
    private readonly byte[] _clientInit;
    private readonly byte[] _serverInit;
    private readonly string _clientVersion;
    private readonly string _serverVersion;

    public SshKexExchange(SshAlgorithms algorithms, string clientVersion, string serverVersion, byte[] clientInit, byte[] serverInit)
    {
        _algorithms = algorithms;
        _clientVersion = clientVersion;
        _serverVersion = serverVersion;
        _clientInit = clientInit;
        _serverInit = serverInit;
        _method = SshKeyExchange.Create(algorithms.KeyExchange);
    }

    public SshAlgorithms Algorithms => _algorithms;

    /// <summary>Client: the KEX_ECDH_INIT payload.</summary>
    public byte[] InitPayload()
    {
        using var writer = new SshWriter();
        writer.WriteByte(SshMessageNumber.KexEcdhInit);
        writer.WriteString(_method.PublicValue.Span);
        return writer.ToArray();
    }

    /// <summary>Server: takes KEX_ECDH_INIT, returns the epoch and the KEX_ECDH_REPLY payload.</summary>
    public SshKeyEpoch Answer(ReadOnlySpan<byte> payload, SshPrivateKey hostKey, byte[]? sessionId, out byte[] reply)
    {
        var reader = new SshReader(payload);
        if (!reader.TryReadByte(out _) || !reader.TryReadString(out var clientPublic) || !reader.IsAtEnd)
            throw SshException.Protocol("KEX_ECDH_INIT is malformed.");
        var secret = Derive(clientPublic);
        var hash = Hash(hostKey.PublicKey.Blob.Span, clientPublic, _method.PublicValue.Span, secret);
        using var writer = new SshWriter();
        writer.WriteByte(SshMessageNumber.KexEcdhReply);
        writer.WriteString(hostKey.PublicKey.Blob.Span);
        writer.WriteString(_method.PublicValue.Span);
        writer.WriteString(hostKey.Sign(SshKeyAlgorithm.Of(_algorithms.HostKey).Signature, hash));
        reply = writer.ToArray();
        return new(secret, hash, sessionId ?? hash, _algorithms);
    }

    /// <summary>
    /// Client: takes KEX_ECDH_REPLY, verifies the signature of H and returns the epoch. Whether the key is the right
    /// one for this host is the caller's question.
    /// </summary>
    public SshKeyEpoch Conclude(ReadOnlySpan<byte> payload, byte[]? sessionId, out SshHostKey hostKey)
    {
        var reader = new SshReader(payload);
        if (!reader.TryReadByte(out _) || !reader.TryReadString(out var blob)
            || !reader.TryReadString(out var serverPublic) || !reader.TryReadString(out var signature) || !reader.IsAtEnd)
        {
            throw SshException.Protocol("KEX_ECDH_REPLY is malformed.");
        }

        hostKey = ParseHostKey(blob);
        var secret = Derive(serverPublic);
        var hash = Hash(blob, _method.PublicValue.Span, serverPublic, secret);
        // RFC 4253 §8: the client verifies that K_S is the host key (by the caller) and that it signed H.
        if (!hostKey.Key.Verify(SshKeyAlgorithm.Of(_algorithms.HostKey).Signature, hash, signature))
            throw SshException.KeyExchange("The server's signature of the key exchange is wrong.");
        return new(secret, hash, sessionId ?? hash, _algorithms);
    }

    public void Dispose() => _method.Dispose();

    private SshHostKey ParseHostKey(ReadOnlySpan<byte> blob)
    {
        var algorithm = SshKeyAlgorithm.Of(_algorithms.HostKey);
        string? error;
        if (algorithm.IsCertificate)
        {
            if (SshCertificate.TryParse(blob, out var certificate, out error) && certificate.CertificateType == algorithm.BlobType)
                return new(certificate.Key, certificate);
        }
        else if (SshPublicKey.TryParse(blob, out var key, out error) && key.KeyType == algorithm.BlobType)
        {
            return new(key, null);
        }

        throw SshException.KeyExchange($"The server's host key is not the {algorithm.Name} that was agreed on. {error}".TrimEnd());
    }

    private byte[] Derive(ReadOnlySpan<byte> peerPublic)
        => _method.TryDerive(peerPublic, out var encodedSecret)
            ? encodedSecret
            : throw SshException.KeyExchange("The peer's ephemeral public key is not valid.");

    private byte[] Hash(ReadOnlySpan<byte> hostKey, ReadOnlySpan<byte> clientPublic, ReadOnlySpan<byte> serverPublic, ReadOnlySpan<byte> secret)
        => SshExchangeHash.Compute(_clientVersion, _serverVersion, _clientInit, _serverInit, hostKey, clientPublic, serverPublic, secret);
}
