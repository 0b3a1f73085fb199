using System.Security.Cryptography;

namespace Relay.Protocol.Ssh;

/// <summary>A curve of RFC 5656 §10.1 with the sizes and the hash that come with it (§6.2.1).</summary>
internal sealed class EcdsaCurve
{
    /// <summary>First byte of an uncompressed point, SEC 1 §2.3.3. Compressed points are not accepted.</summary>
    private const byte Uncompressed = 0x04;

    private EcdsaCurve(string keyType, string name, int bits, ECCurve curve, HashAlgorithmName hash)
    {
        KeyType = keyType;
        Name = name;
        Curve = curve;
        Hash = hash;
        FieldLength = (bits + 7) / 8;
    }

    public static EcdsaCurve P256 { get; } = new(SshKeyTypes.EcdsaP256, "nistp256", 256, ECCurve.NamedCurves.nistP256, HashAlgorithmName.SHA256);

    public static EcdsaCurve P384 { get; } = new(SshKeyTypes.EcdsaP384, "nistp384", 384, ECCurve.NamedCurves.nistP384, HashAlgorithmName.SHA384);

    public static EcdsaCurve P521 { get; } = new(SshKeyTypes.EcdsaP521, "nistp521", 521, ECCurve.NamedCurves.nistP521, HashAlgorithmName.SHA512);

    public string KeyType { get; }

    /// <summary>The curve's own name inside the blob.</summary>
    public string Name { get; }

    public ECCurve Curve { get; }

    public HashAlgorithmName Hash { get; }

    /// <summary>Bytes of a coordinate.</summary>
    public int FieldLength { get; }

    /// <summary>Bytes of an uncompressed point: 0x04, X, Y.</summary>
    public int PointLength => 1 + (2 * FieldLength);

    /// <summary>The curve of a key type; null for a type that is not ECDSA.</summary>
    public static EcdsaCurve OfKeyType(string keyType) => keyType switch
    {
        SshKeyTypes.EcdsaP256 => P256,
        SshKeyTypes.EcdsaP384 => P384,
        SshKeyTypes.EcdsaP521 => P521,
        _ => throw new ArgumentOutOfRangeException(nameof(keyType)),
    };

    /// <summary>The curve with this object identifier, as PKCS#8 names it; null for any other.</summary>
    public static EcdsaCurve? OfOid(string? oid) =>
        oid == P256.Curve.Oid.Value ? P256 : oid == P384.Curve.Oid.Value ? P384 : oid == P521.Curve.Oid.Value ? P521 : null;

    /// <summary>The framework's form of a point of <see cref="PointLength"/> bytes.</summary>
    public ECParameters Parameters(ReadOnlySpan<byte> point) => new()
    {
        Curve = Curve,
        Q = new ECPoint { X = point.Slice(1, FieldLength).ToArray(), Y = point.Slice(1 + FieldLength, FieldLength).ToArray() },
    };

    /// <summary>0x04, X, Y of the framework's form.</summary>
    public static byte[] Point(ECParameters parameters) => [Uncompressed, .. parameters.Q.X!, .. parameters.Q.Y!];

    /// <summary>True for an uncompressed point that satisfies the curve's equation (SEC 1 §3.2.2.1).</summary>
    public bool IsOnCurve(ReadOnlySpan<byte> point)
    {
        if (point.Length != PointLength || point[0] != Uncompressed) return false;
        try
        {
            // libcrypto checks the equation on import; the order need not be checked, the cofactor is 1.
            using ECDsa key = ECDsa.Create(Parameters(point));
            return true;
        }
        catch (CryptographicException)
        {
            // The import's only complaint about well-sized coordinates: they are no point of the curve.
            return false;
        }
    }
}
