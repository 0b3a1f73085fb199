namespace Relay.Protocol.Ssh;

/// <summary>
/// SSH_MSG_USERAUTH_REQUEST, RFC 4252 §5: byte 50, string user, string service, string method, method fields.
/// View over the payload.
/// </summary>
internal readonly ref struct SshUserAuthRequest
{
    private const int MaximumName = 1024;

    private SshUserAuthRequest(string user, string service, string method, ReadOnlySpan<byte> fields)
    {
        User = user;
        Service = service;
        Method = method;
        Fields = fields;
    }

    public string User { get; }

    public string Service { get; }

    public string Method { get; }

    public ReadOnlySpan<byte> Fields { get; }

    /// <summary>False: malformed.</summary>
    public static bool TryParse(ReadOnlySpan<byte> payload, out SshUserAuthRequest request)
    {
        request = default;
        var reader = new SshReader(payload);
        if (!reader.TryReadByte(out var number) || number != SshMessageNumber.UserAuthRequest
            || !reader.TryReadText(MaximumName, out var user)
            || !reader.TryReadText(MaximumName, out var service)
            || !reader.TryReadText(MaximumName, out var method))
        {
            return false;
        }

        request = new(user, service, method, reader.Rest);
        return true;
    }
}

/// <summary>
/// Fields of method "publickey", RFC 4252 §7: boolean signed, string algorithm, string blob, and with signed also
/// string signature over string session_id and everything of the payload before the signature.
/// </summary>
internal readonly ref struct SshPublicKeyFields
{
    private SshPublicKeyFields(bool isSigned, string algorithm, ReadOnlySpan<byte> blob, ReadOnlySpan<byte> signature, int signedLength)
    {
        IsSigned = isSigned;
        Algorithm = algorithm;
        Blob = blob;
        Signature = signature;
        SignedLength = signedLength;
    }

    public bool IsSigned { get; }

    public string Algorithm { get; }

    public ReadOnlySpan<byte> Blob { get; }

    public ReadOnlySpan<byte> Signature { get; }

    /// <summary>Bytes of the fields that the signature covers.</summary>
    public int SignedLength { get; }

    /// <summary>False: malformed.</summary>
    public static bool TryParse(ReadOnlySpan<byte> fields, out SshPublicKeyFields parsed)
    {
        parsed = default;
        var reader = new SshReader(fields);
        if (!reader.TryReadBoolean(out var isSigned) || !reader.TryReadText(SshReader.MaximumNameLength, out var algorithm)
            || !reader.TryReadString(out var blob))
        {
            return false;
        }

        var covered = reader.Position;
        ReadOnlySpan<byte> signature = default;
        if ((isSigned && !reader.TryReadString(out signature)) || !reader.IsAtEnd)
            return false;
        parsed = new(isSigned, algorithm, blob, signature, covered);
        return true;
    }
}
