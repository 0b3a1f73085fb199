namespace Relay.Protocol.Ssh;

/// <summary>What the driver has to ask after a message of the client.</summary>
internal enum SshServerAuthStep
{
    /// <summary>Nothing; the next message.</summary>
    Continue,

    /// <summary>Ask <see cref="ISshServerAuthenticator.IsAcceptableAsync"/>, then <see cref="SshServerAuth.AnswerQuery"/>.</summary>
    Query,

    /// <summary>Ask <see cref="ISshServerAuthenticator.AuthenticateAsync"/>, then <see cref="SshServerAuth.AnswerProof"/>.</summary>
    Proof,
}

/// <summary>
/// Server side of RFC 4252, method "publickey" and, where it is asked about, "none", without I/O. Each request stands alone: nothing of one is kept
/// for the next, and the proven user and key are those of the one request whose signature verified (L4), or that needed none.
/// Not thread-safe.
/// </summary>
/// <param name="asksAboutNone">See <see cref="SshServerOptions.AsksAboutNone"/>.</param>
internal sealed class SshServerAuth(SshTransport transport, int maximumFailures, bool asksAboutNone = false)
{
    private const string ConnectionService = "ssh-connection";
    private const int QueriesPerConnection = 64;
    private const int BannerBytes = 16 * 1024;
    private SshKeyAlgorithm _algorithm;
    private int _failures;
    private int _requests;

    /// <summary>The request that waits for an answer.</summary>
    public SshAuthRequest? Pending { get; private set; }

    /// <summary>Set by an accepted proof.</summary>
    public string? AuthenticatedUser { get; private set; }

    public SshServerAuthStep Handle(ReadOnlySpan<byte> payload)
    {
        if (payload[0] == SshMessageNumber.ServiceRequest)
        {
            OnServiceRequest(payload);
            return SshServerAuthStep.Continue;
        }

        if (!SshUserAuthRequest.TryParse(payload, out var request))
            throw SshException.Protocol("USERAUTH_REQUEST is malformed.");
        // RFC 4252 §5: an unknown service MUST NOT be accepted; disconnecting is the advised answer.
        if (request.Service != ConnectionService)
            throw new SshException(SshDisconnectReason.ServiceNotAvailable, "Only the service ssh-connection is available.");
        if (++_requests > QueriesPerConnection)
            throw NoMore();
        if (asksAboutNone && request.Method == "none")
        {
            Pending = new(request.User, request.Method, null, null, transport.PeerVersion);
            return SshServerAuthStep.Proof;
        }

        if (request.Method != "publickey")
        {
            // "none" asks for the list of methods (RFC 4252 §5.2) and is no failed attempt.
            Fail(counts: request.Method != "none");
            return SshServerAuthStep.Continue;
        }

        return OnPublicKey(payload, request);
    }

    /// <summary>Answers PK_OK or a failure. A key that is not wanted counts as no failed attempt: agents hold many.</summary>
    public void AnswerQuery(bool acceptable)
    {
        var pending = Take();
        if (!acceptable)
        {
            Fail(counts: false);
            return;
        }

        using var writer = new SshWriter(1024);
        writer.WriteByte(SshMessageNumber.UserAuthPkOk);
        writer.WriteString(_algorithm.Name);
        writer.WriteString((pending.Certificate?.Blob ?? pending.Key!.Blob).Span);
        transport.Send(writer.WrittenSpan);
    }

    /// <summary>Answers a proven key.</summary>
    public void AnswerProof(SshAuthOutcome outcome)
    {
        var pending = Take();
        SendBanner(outcome.Banner);
        switch (outcome.Verdict)
        {
            case SshAuthVerdict.Accept:
                AuthenticatedUser = pending.User;
                transport.Send([SshMessageNumber.UserAuthSuccess]);
                transport.EnterConnected();
                break;
            case SshAuthVerdict.Disconnect:
                throw new SshException(SshDisconnectReason.NoMoreAuthMethodsAvailable, outcome.DisconnectMessage ?? "Not permitted.");
            default:
                Fail(counts: true);
                break;
        }
    }

    private static SshException NoMore()
        => new(SshDisconnectReason.NoMoreAuthMethodsAvailable, "Too many authentication failures.");

    private SshAuthRequest Take()
    {
        var pending = Pending ?? throw new InvalidOperationException("No authentication request is pending.");
        Pending = null;
        return pending;
    }

    // RFC 4253 §10.
    private void OnServiceRequest(ReadOnlySpan<byte> payload)
    {
        var reader = new SshReader(payload);
        if (!reader.TryReadByte(out _) || !reader.TryReadText(SshReader.MaximumNameLength, out var service) || !reader.IsAtEnd)
            throw SshException.Protocol("SERVICE_REQUEST is malformed.");
        if (service != "ssh-userauth")
            throw new SshException(SshDisconnectReason.ServiceNotAvailable, "Only the service ssh-userauth is available.");
        using var writer = new SshWriter(32);
        writer.WriteByte(SshMessageNumber.ServiceAccept);
        writer.WriteString(service);
        transport.Send(writer.WrittenSpan);
        transport.EnterAuthentication();
    }

    private SshServerAuthStep OnPublicKey(ReadOnlySpan<byte> payload, SshUserAuthRequest request)
    {
        if (!SshPublicKeyFields.TryParse(request.Fields, out var fields))
            throw SshException.Protocol("USERAUTH_REQUEST is malformed.");
        _algorithm = SshKeyAlgorithm.Of(fields.Algorithm);
        if (!TryReadKey(fields.Blob, out var key, out var certificate))
        {
            Fail(counts: fields.IsSigned);
            return SshServerAuthStep.Continue;
        }

        Pending = new(request.User, request.Method, key, certificate, transport.PeerVersion);
        if (!fields.IsSigned)
            return SshServerAuthStep.Query;

        // SECURITY: L4. Nothing downstream sees a key as proven before this.
        using var signed = new SshWriter(1024);
        signed.WriteString(transport.SessionId);
        signed.WriteBytes(payload[..^(request.Fields.Length - fields.SignedLength)]);
        if (key!.Verify(_algorithm.Signature, signed.WrittenSpan, fields.Signature))
            return SshServerAuthStep.Proof;
        Pending = null;
        Fail(counts: true);
        return SshServerAuthStep.Continue;
    }

    // The blob's own type must be the one the algorithm name stands for, and the algorithm one we offered.
    private bool TryReadKey(ReadOnlySpan<byte> blob, out SshPublicKey? key, out SshCertificate? certificate)
    {
        key = null;
        certificate = null;
        if (!SshAlgorithmNames.UserKeys.Contains(_algorithm.Signature))
            return false;
        if (!_algorithm.IsCertificate)
            return SshPublicKey.TryParse(blob, out key, out _) && key.KeyType == _algorithm.BlobType;
        if (!SshCertificate.TryParse(blob, out certificate, out _) || certificate.CertificateType != _algorithm.BlobType)
            return false;
        key = certificate.Key;
        return true;
    }

    private void Fail(bool counts)
    {
        if (counts && ++_failures >= maximumFailures)
            throw NoMore();
        using var writer = new SshWriter(32);
        writer.WriteByte(SshMessageNumber.UserAuthFailure);
        writer.WriteNameList(["publickey"]);
        writer.WriteBoolean(false);
        transport.Send(writer.WrittenSpan);
    }

    // RFC 4252 §5.4. Lines end with CR LF for the client's terminal.
    private void SendBanner(string? banner)
    {
        if (string.IsNullOrEmpty(banner))
            return;
        using var writer = new SshWriter();
        writer.WriteByte(SshMessageNumber.UserAuthBanner);
        var text = banner.Length > BannerBytes ? banner[..BannerBytes] : banner;
        writer.WriteString(text.ReplaceLineEndings("\r\n").TrimEnd() + "\r\n");
        writer.WriteString("");
        transport.Send(writer.WrittenSpan);
    }
}
