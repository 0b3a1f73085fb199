using System.Collections.Frozen;
using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace Relay.Protocol.Ssh;

/// <summary>
/// Reads certificate blobs: string type, string nonce, the key's fields, uint64 serial, uint32 kind, string key id,
/// string principals, uint64 valid after, uint64 valid before, string critical options, string extensions, string
/// reserved, string signature key, string signature (PROTOCOL.certkeys).
/// </summary>
internal static class SshCertificateParser
{
    // Our own limits; the specification has none.
    private const int MaximumKeyIdLength = 1024, MaximumPrincipals = 256, MaximumPrincipalLength = 256, MaximumOptions = 64, MaximumOptionNameLength = 128;

    private const string Malformed = "malformed certificate";

    public static bool TryParse(ReadOnlySpan<byte> blob, [NotNullWhen(true)] out SshCertificate? certificate, [NotNullWhen(false)] out string? error)
    {
        certificate = null;
        if (blob.Length > SshCertificate.MaximumBlobLength)
        {
            error = "too long for a certificate";
            return false;
        }

        error = Malformed;
        var reader = new SshReader(blob);
        if (!reader.TryReadText(SshPublicKeyParser.MaximumTypeLength, out string type)) return false;
        string plainType = SshKeyTypes.ToPlain(type);
        int keyFields = FieldsOf(plainType);
        if (keyFields == 0 || type == plainType)
        {
            error = type == plainType ? "a plain key, where a certificate is wanted" : "unknown certificate type";
            return false;
        }

        if (!reader.TryReadString(out _)) return false; // nonce: random, says nothing
        if (!TryReadKey(ref reader, plainType, keyFields, out SshPublicKey? key, out error)) return false;

        error = Malformed;
        if (!reader.TryReadUInt64(out ulong serial)
            || !reader.TryReadUInt32(out uint kind) || kind is not ((uint)SshCertificateKind.User or (uint)SshCertificateKind.Host)
            || !reader.TryReadText(MaximumKeyIdLength, out string keyId)
            || !reader.TryReadString(out ReadOnlySpan<byte> principals) || !TryReadPrincipals(principals, out List<string> names)
            || !reader.TryReadUInt64(out ulong validAfter) || !reader.TryReadUInt64(out ulong validBefore)
            || !reader.TryReadString(out ReadOnlySpan<byte> critical) || !TryReadOptions(critical, out FrozenDictionary<string, byte[]> criticalOptions)
            || !reader.TryReadString(out ReadOnlySpan<byte> extra) || !TryReadOptions(extra, out FrozenDictionary<string, byte[]> extensions)
            || !reader.TryReadString(out _) // reserved: ignored, as told
            || !reader.TryReadString(out ReadOnlySpan<byte> signer)) return false;

        int signedLength = reader.Position;
        if (!reader.TryReadString(out ReadOnlySpan<byte> signature) || !reader.IsAtEnd) return false;
        if (!SshPublicKey.TryParse(signer, out SshPublicKey? signatureKey, out string? signerError))
        {
            error = "signed by " + signerError;
            return false;
        }

        error = null;
        certificate = new SshCertificate(new SshCertificateFields
        {
            CertificateType = type,
            Key = key,
            Serial = serial,
            Kind = (SshCertificateKind)kind,
            KeyId = keyId,
            Principals = names,
            ValidAfter = SshCertificateTime.FromWire(validAfter),
            ValidBefore = SshCertificateTime.FromWire(validBefore),
            CriticalOptions = criticalOptions,
            Extensions = extensions,
            SignatureKey = signatureKey,
            Blob = blob.ToArray(),
            SignedLength = signedLength,
            Signature = signature.ToArray(),
        });
        return true;
    }

    /// <summary>How many strings a key of this type has after its name; zero for a type that is not known. An mpint is a string here.</summary>
    internal static int FieldsOf(string plainType) => plainType switch
    {
        SshKeyTypes.Ed25519 => 1,
        SshKeyTypes.EcdsaP256 or SshKeyTypes.EcdsaP384 or SshKeyTypes.EcdsaP521 or SshKeyTypes.Rsa or SshKeyTypes.SkEd25519 => 2,
        SshKeyTypes.SkEcdsaP256 => 3,
        _ => 0,
    };

    // The certified key is the plain key's blob with its type's name exchanged and a nonce put between.
    private static bool TryReadKey(
        ref SshReader reader, string plainType, int fields, [NotNullWhen(true)] out SshPublicKey? key, [NotNullWhen(false)] out string? error)
    {
        key = null;
        error = Malformed;
        ReadOnlySpan<byte> start = reader.Rest;
        int position = reader.Position;
        for (int i = 0; i < fields; i++)
        {
            if (!reader.TryReadString(SshPublicKey.MaximumBlobLength, out _)) return false;
        }

        using var writer = new SshWriter(512);
        writer.WriteString(plainType);
        writer.WriteBytes(start[..(reader.Position - position)]);
        return SshPublicKey.TryParse(writer.WrittenSpan, out key, out error);
    }

    private static bool TryReadPrincipals(ReadOnlySpan<byte> raw, out List<string> names)
    {
        names = [];
        var reader = new SshReader(raw);
        while (!reader.IsAtEnd)
        {
            if (names.Count == MaximumPrincipals || !reader.TryReadText(MaximumPrincipalLength, out string name) || name.Length == 0) return false;
            names.Add(name);
        }

        return true;
    }

    // (string name, string data)*, "lexically ordered by name", "each named option may only appear once".
    private static bool TryReadOptions(ReadOnlySpan<byte> raw, out FrozenDictionary<string, byte[]> options)
    {
        options = FrozenDictionary<string, byte[]>.Empty;
        if (raw.IsEmpty) return true;
        var found = new Dictionary<string, byte[]>(StringComparer.Ordinal);
        var reader = new SshReader(raw);
        ReadOnlySpan<byte> previous = default;
        while (!reader.IsAtEnd)
        {
            if (found.Count == MaximumOptions
                || !reader.TryReadString(MaximumOptionNameLength, out ReadOnlySpan<byte> name)
                || !reader.TryReadString(out ReadOnlySpan<byte> data)
                || !Ascii.IsValid(name)
                || name.SequenceCompareTo(previous) <= 0) return false;
            previous = name;
            found.Add(Encoding.ASCII.GetString(name), data.ToArray());
        }

        options = found.ToFrozenDictionary(StringComparer.Ordinal);
        return true;
    }
}
