using System.Diagnostics.CodeAnalysis;
using System.Formats.Asn1;
using System.Security.Cryptography;
using Relay.Protocol.Crypto;

namespace Relay.Protocol.Ssh;

/// <summary>Reads private keys from PEM. Bounded; RSA sizes are checked before any arithmetic (L12).</summary>
internal static class SshPrivateKeyImport
{
    /// <summary>Largest PEM text that is looked at, in characters: RSA of 8192 bits takes about 6,500.</summary>
    public const int MaximumTextLength = 32 * 1024;

    private const string Malformed = "malformed private key";
    private const string OidEd25519 = "1.3.101.112", OidRsa = "1.2.840.113549.1.1.1", OidEc = "1.2.840.10045.2.1";

    public static bool TryRead(string pem, [NotNullWhen(true)] out SshKeyMaterial? material, [NotNullWhen(false)] out string? error)
    {
        material = null;
        error = "no private key in PEM form";
        if (string.IsNullOrEmpty(pem)) return false;
        if (pem.Length > MaximumTextLength)
        {
            error = "too long for a private key";
            return false;
        }

        // The traditional encrypted form has RFC 1421 headers, which no PEM reader of the framework takes.
        if (pem.Contains("Proc-Type: 4,ENCRYPTED", StringComparison.Ordinal))
        {
            error = OpenSshPrivateKeyFormat.EncryptedError;
            return false;
        }

        ReadOnlySpan<char> rest = pem;
        while (material is null && PemEncoding.TryFind(rest, out PemFields fields))
        {
            string label = rest[fields.Label].ToString();
            if (label.EndsWith("PRIVATE KEY", StringComparison.Ordinal))
            {
                var der = new byte[fields.DecodedDataLength];
                if (Convert.TryFromBase64Chars(rest[fields.Base64Data], der, out int written)) material = ReadChecked(label, der.AsMemory(0, written), out error);
                CryptographicOperations.ZeroMemory(der);
                break;
            }

            rest = rest[fields.Location.End..]; // EC PARAMETERS before the key, as openssl ecparam writes it
        }

        if (material is null) return false;
        error = null;
        return true;
    }

    private static SshKeyMaterial? ReadChecked(string label, ReadOnlyMemory<byte> der, out string error)
    {
        SshKeyMaterial? material = null;
        error = Malformed;
        try
        {
            material = ReadOne(label, der, ref error);
            if (material is null || material.IsConsistent()) return material;
            error = "the private and the public half of the key do not belong together";
        }
        catch (Exception e) when (e is CryptographicException or AsnContentException)
        {
            // The framework's readers say "not such a key" by exception; its texts could quote the input.
            error = Malformed;
        }

        material?.Dispose();
        return null;
    }

    private static SshKeyMaterial? ReadOne(string label, ReadOnlyMemory<byte> der, ref string error)
    {
        switch (label)
        {
            case OpenSshPrivateKeyFormat.Label:
                return OpenSshPrivateKeyFormat.Read(der.Span, out error);
            case "PRIVATE KEY":
                return ReadPkcs8(der, ref error);
            case "RSA PRIVATE KEY":
                return ReadRsa(der, ref error);
            case "EC PRIVATE KEY":
                return ReadEc(der, ref error);
            default:
                error = label == "ENCRYPTED PRIVATE KEY" ? OpenSshPrivateKeyFormat.EncryptedError : "a private key of a kind that is not accepted";
                return null;
        }
    }

    // RFC 5958 §2: version, algorithm, octets, …
    private static SshKeyMaterial? ReadPkcs8(ReadOnlyMemory<byte> der, ref string error)
    {
        AsnReader sequence = new AsnReader(der, AsnEncodingRules.BER).ReadSequence();
        sequence.ReadInteger();
        AsnReader algorithm = sequence.ReadSequence();
        string oid = algorithm.ReadObjectIdentifier();
        byte[] inner = sequence.ReadOctetString();
        try
        {
            switch (oid)
            {
                case OidEd25519:
                    byte[] seed = new AsnReader(inner, AsnEncodingRules.BER).ReadOctetString(); // RFC 8410 §7
                    if (seed.Length != Ed25519.SeedLength) return null;
                    var key = Ed25519PrivateKey.FromSeed(seed);
                    CryptographicOperations.ZeroMemory(seed);
                    return new Ed25519KeyMaterial(key);
                case OidRsa:
                    return ReadRsa(inner, ref error);
                case OidEc:
                    return ReadEc(inner, ref error, algorithm);
                default:
                    error = "a private key of an algorithm that is not accepted";
                    return null;
            }
        }
        finally
        {
            CryptographicOperations.ZeroMemory(inner);
        }
    }

    // RFC 8017 §A.1.2: version, n, e, …
    private static RsaKeyMaterial? ReadRsa(ReadOnlyMemory<byte> der, ref string error)
    {
        AsnReader sequence = new AsnReader(der, AsnEncodingRules.BER).ReadSequence();
        sequence.ReadInteger();
        ReadOnlySpan<byte> modulus = sequence.ReadIntegerBytes().Span.TrimStart((byte)0);
        if (RsaLimits.Refuse(modulus, sequence.ReadIntegerBytes().Span.TrimStart((byte)0)) is { } reason)
        {
            error = reason;
            return null;
        }

        var key = RSA.Create();
        try
        {
            key.ImportRSAPrivateKey(der.Span, out _);
            return new RsaKeyMaterial(key);
        }
        catch (CryptographicException)
        {
            key.Dispose();
            throw;
        }
    }

    // RFC 5915 §3: version, d, [0] curve, [1] public key. In PKCS#8 the curve stands outside.
    private static EcdsaKeyMaterial? ReadEc(ReadOnlyMemory<byte> der, ref string error, AsnReader? outerParameters = null)
    {
        AsnReader sequence = new AsnReader(der, AsnEncodingRules.BER).ReadSequence();
        sequence.ReadInteger();
        byte[] d = sequence.ReadOctetString();
        var zero = new Asn1Tag(TagClass.ContextSpecific, 0);
        bool inside = sequence.HasData && sequence.PeekTag().HasSameClassAndValue(zero);
        AsnReader? parameters = inside ? sequence.ReadSequence(zero) : outerParameters;

        // A curve given by its numbers could be any; only names are read.
        bool named = parameters is { HasData: true } && parameters.PeekTag() == Asn1Tag.ObjectIdentifier;
        EcdsaCurve? curve = named ? EcdsaCurve.OfOid(parameters!.ReadObjectIdentifier()) : null;
        if (curve is null || d.Length > curve.FieldLength)
        {
            error = "an elliptic curve that is not accepted";
            return null;
        }

        // Without Q the framework computes it from d, so an absent or a false public half does no harm.
        var padded = new byte[curve.FieldLength];
        d.CopyTo(padded.AsSpan(curve.FieldLength - d.Length));
        try
        {
            return new EcdsaKeyMaterial(curve, ECDsa.Create(new ECParameters { Curve = curve.Curve, D = padded }));
        }
        finally
        {
            CryptographicOperations.ZeroMemory(d);
            CryptographicOperations.ZeroMemory(padded);
        }
    }
}
