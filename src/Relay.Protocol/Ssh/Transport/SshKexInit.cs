using System.Security.Cryptography;

namespace Relay.Protocol.Ssh;

/// <summary>
/// SSH_MSG_KEXINIT, RFC 4253 §7.1: byte 20, cookie[16], ten name-lists, boolean first_kex_packet_follows, uint32 0.
/// </summary>
internal sealed record SshKexInit(
    IReadOnlyList<string> KeyExchanges,
    IReadOnlyList<string> HostKeys,
    IReadOnlyList<string> CiphersToServer,
    IReadOnlyList<string> CiphersToClient,
    IReadOnlyList<string> MacsToServer,
    IReadOnlyList<string> MacsToClient,
    IReadOnlyList<string> CompressionsToServer,
    IReadOnlyList<string> CompressionsToClient,
    bool FirstPacketFollows)
{
    private const int CookieLength = 16;

    /// <summary>False: the payload is not a well-formed KEXINIT.</summary>
    public static bool TryParse(ReadOnlySpan<byte> payload, out SshKexInit? message)
    {
        message = null;
        var reader = new SshReader(payload);
        if (!reader.TryReadByte(out var number) || number != SshMessageNumber.KexInit
            || !reader.TryReadBytes(CookieLength, out _)
            || !reader.TryReadNameList(out var kex) || !reader.TryReadNameList(out var hostKeys)
            || !reader.TryReadNameList(out var ciphersUp) || !reader.TryReadNameList(out var ciphersDown)
            || !reader.TryReadNameList(out var macsUp) || !reader.TryReadNameList(out var macsDown)
            || !reader.TryReadNameList(out var compressionsUp) || !reader.TryReadNameList(out var compressionsDown)
            || !reader.TryReadNameList(out _) || !reader.TryReadNameList(out _)
            || !reader.TryReadBoolean(out var follows) || !reader.TryReadUInt32(out _) || !reader.IsAtEnd)
        {
            return false;
        }

        message = new(kex, hostKeys, ciphersUp, ciphersDown, macsUp, macsDown, compressionsUp, compressionsDown, follows);
        return true;
    }

    /// <summary>The payload, with a fresh random cookie.</summary>
    public byte[] ToPayload()
    {
        using var writer = new SshWriter(1024);
        writer.WriteByte(SshMessageNumber.KexInit);
        Span<byte> cookie = stackalloc byte[CookieLength];
        RandomNumberGenerator.Fill(cookie);
        writer.WriteBytes(cookie);
        writer.WriteNameList(KeyExchanges);
        writer.WriteNameList(HostKeys);
        writer.WriteNameList(CiphersToServer);
        writer.WriteNameList(CiphersToClient);
        writer.WriteNameList(MacsToServer);
        writer.WriteNameList(MacsToClient);
        writer.WriteNameList(CompressionsToServer);
        writer.WriteNameList(CompressionsToClient);
        writer.WriteNameList([]);
        writer.WriteNameList([]);
        writer.WriteBoolean(FirstPacketFollows);
        writer.WriteUInt32(0);
        return writer.ToArray();
    }
}
