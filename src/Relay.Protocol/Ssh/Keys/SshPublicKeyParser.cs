using System.Diagnostics.CodeAnalysis;
using Relay.Protocol.Crypto;

namespace Relay.Protocol.Ssh;

/// <summary>Reads public key blobs. Nothing is allocated before the sizes have been checked (L16).</summary>
internal static class SshPublicKeyParser
{
    /// <summary>Longest name of a key type that is looked at; the longest known one has 50 characters.</summary>
    public const int MaximumTypeLength = SshReader.MaximumNameLength;

    private const string Malformed = "malformed key";

    public static bool TryParse(ReadOnlySpan<byte> blob, [NotNullWhen(true)] out SshPublicKey? key, [NotNullWhen(false)] out string? error)
    {
        key = null;
        error = Malformed;
        var reader = new SshReader(blob);
        if (blob.Length > SshPublicKey.MaximumBlobLength || !reader.TryReadString(MaximumTypeLength, out ReadOnlySpan<byte> typeBytes)) return false;

        string? type = KnownType(typeBytes);
        switch (type)
        {
            case SshKeyTypes.Ed25519:
                key = ReadEd25519(ref reader, blob, type);
                break;
            case SshKeyTypes.EcdsaP256 or SshKeyTypes.EcdsaP384 or SshKeyTypes.EcdsaP521:
                key = ReadEcdsa(ref reader, blob, EcdsaCurve.OfKeyType(type));
                break;
            case SshKeyTypes.Rsa:
                key = ReadRsa(ref reader, blob, ref error);
                break;
            case SshKeyTypes.SkEd25519 or SshKeyTypes.SkEcdsaP256:
                key = ReadSecurityKey(ref reader, blob, type);
                break;
            default:
                // SECURITY: a certificate in the place of a key would smuggle in its own signer (L21).
                error = typeBytes.EndsWith("-cert-v01@openssh.com"u8) ? "a certificate, where a plain key is wanted" : "unknown key type";
                break;
        }

        if (key is null) return false;
        error = null;
        return true;
    }

    private static string? KnownType(ReadOnlySpan<byte> name)
    {
        if (name.SequenceEqual("ssh-rsa"u8)) return SshKeyTypes.Rsa;
        foreach (string type in SshKeyTypes.SignatureAlgorithms)
        {
            // rsa-sha2-256 and -512 name signatures, never keys (RFC 8332 §3).
            if (SshKeyLine.IsAscii(name, type)) return type is SshKeyTypes.RsaSha256 or SshKeyTypes.RsaSha512 ? null : type;
        }

        return null;
    }

    // RFC 8709 §4: string key.
    private static Ed25519SshPublicKey? ReadEd25519(ref SshReader reader, ReadOnlySpan<byte> blob, string type) =>
        reader.TryReadString(out ReadOnlySpan<byte> point) && point.Length == Ed25519.PublicKeyLength && reader.IsAtEnd
            ? new Ed25519SshPublicKey(type, blob.ToArray(), point.ToArray())
            : null;

    // RFC 5656 §3.1: string curve, string Q.
    private static EcdsaSshPublicKey? ReadEcdsa(ref SshReader reader, ReadOnlySpan<byte> blob, EcdsaCurve curve) =>
        TryReadPoint(ref reader, curve, out ReadOnlySpan<byte> point) && reader.IsAtEnd && curve.IsOnCurve(point)
            ? new EcdsaSshPublicKey(curve, blob.ToArray(), point.ToArray())
            : null;

    // RFC 4253 §6.6: mpint e, mpint n.
    private static RsaSshPublicKey? ReadRsa(ref SshReader reader, ReadOnlySpan<byte> blob, ref string error)
    {
        if (!reader.TryReadMpint(out ReadOnlySpan<byte> exponent) || !reader.TryReadMpint(out ReadOnlySpan<byte> modulus) || !reader.IsAtEnd) return null;
        if (RsaLimits.Refuse(modulus, exponent) is { } reason)
        {
            error = reason;
            return null;
        }

        return new RsaSshPublicKey(blob.ToArray(), modulus.ToArray(), exponent.ToArray());
    }

    // PROTOCOL.u2f: string key, or string curve and string Q; then string application.
    private static SecurityKeySshPublicKey? ReadSecurityKey(ref SshReader reader, ReadOnlySpan<byte> blob, string type)
    {
        const int maximumApplication = 512;
        SshPublicKey inner;
        if (type == SshKeyTypes.SkEd25519)
        {
            if (!reader.TryReadString(out ReadOnlySpan<byte> point) || point.Length != Ed25519.PublicKeyLength) return null;
            inner = new Ed25519SshPublicKey(type, [], point.ToArray());
        }
        else
        {
            EcdsaCurve curve = EcdsaCurve.P256;
            if (!TryReadPoint(ref reader, curve, out ReadOnlySpan<byte> point) || !curve.IsOnCurve(point)) return null;
            inner = new EcdsaSshPublicKey(curve, [], point.ToArray());
        }

        return reader.TryReadString(maximumApplication, out ReadOnlySpan<byte> application) && reader.IsAtEnd
            ? new SecurityKeySshPublicKey(type, blob.ToArray(), inner, application)
            : null;
    }

    private static bool TryReadPoint(ref SshReader reader, EcdsaCurve curve, out ReadOnlySpan<byte> point)
    {
        point = default;
        return reader.TryReadString(MaximumTypeLength, out ReadOnlySpan<byte> name)
            && SshKeyLine.IsAscii(name, curve.Name)
            && reader.TryReadString(curve.PointLength, out point)
            && point.Length == curve.PointLength;
    }
}
