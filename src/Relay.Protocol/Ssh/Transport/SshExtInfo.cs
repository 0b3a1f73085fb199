namespace Relay.Protocol.Ssh;

/// <summary>SSH_MSG_EXT_INFO, RFC 8308 §2.3: byte 7, uint32 count, count × (string name, string value).</summary>
internal static class SshExtInfo
{
    private const string ServerSigAlgs = "server-sig-algs";

    /// <summary>The message a server sends: the signature algorithms it takes from users, RFC 8308 §3.1.</summary>
    public static byte[] ToPayload(IReadOnlyList<string> signatureAlgorithms)
    {
        using var writer = new SshWriter();
        writer.WriteByte(SshMessageNumber.ExtInfo);
        writer.WriteUInt32(1);
        writer.WriteString(ServerSigAlgs);
        writer.WriteNameList(signatureAlgorithms);
        return writer.ToArray();
    }

    /// <summary>False: malformed. <paramref name="signatureAlgorithms"/> is null when the message does not name them.</summary>
    public static bool TryParse(ReadOnlySpan<byte> payload, out string[]? signatureAlgorithms)
    {
        signatureAlgorithms = null;
        var reader = new SshReader(payload);
        if (!reader.TryReadByte(out var number) || number != SshMessageNumber.ExtInfo
            || !reader.TryReadUInt32(out var count) || count > SshLimits.ExtInfoEntries)
        {
            return false;
        }

        for (var i = 0u; i < count; i++)
        {
            if (!reader.TryReadString(out var name))
                return false;
            if (name.SequenceEqual("server-sig-algs"u8))
            {
                if (!reader.TryReadNameList(out signatureAlgorithms))
                    return false;
            }
            else if (!reader.TryReadString(out _))
            {
                // RFC 8308 §2.5: extensions that are not known are ignored.
                return false;
            }
        }

        return reader.IsAtEnd;
    }
}
