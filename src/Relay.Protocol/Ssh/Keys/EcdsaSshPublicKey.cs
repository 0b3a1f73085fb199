using System.Security.Cryptography;

namespace Relay.Protocol.Ssh;

/// <summary>ecdsa-sha2-nistp256, -384, -521, RFC 5656. The point has been checked to be on the curve.</summary>
internal sealed class EcdsaSshPublicKey(EcdsaCurve curve, byte[] blob, byte[] point) : SshPublicKey(curve.KeyType, blob)
{
    public override IReadOnlyList<string> SignatureAlgorithms { get; } = [curve.KeyType];

    /// <summary>The blob of a point of the curve, RFC 5656 §3.1.</summary>
    public static byte[] WriteBlob(EcdsaCurve curve, ReadOnlySpan<byte> point)
    {
        using var writer = new SshWriter();
        writer.WriteString(curve.KeyType);
        writer.WriteString(curve.Name);
        writer.WriteString(point);
        return writer.ToArray();
    }

    /// <summary>The signature proper (mpint r, mpint s: RFC 5656 §3.1.2), without the framing; used by FIDO keys too.</summary>
    public bool VerifyRaw(ReadOnlySpan<byte> data, ReadOnlySpan<byte> signature)
    {
        var reader = new SshReader(signature);
        int field = curve.FieldLength;
        if (!reader.TryReadMpint(out ReadOnlySpan<byte> r) || !reader.TryReadMpint(out ReadOnlySpan<byte> s) || !reader.IsAtEnd) return false;
        if (r.IsEmpty || s.IsEmpty || r.Length > field || s.Length > field) return false;

        Span<byte> fixedWidth = stackalloc byte[2 * field];
        fixedWidth.Clear();
        r.CopyTo(fixedWidth[(field - r.Length)..]);
        s.CopyTo(fixedWidth[((2 * field) - s.Length)..]);
        using ECDsa key = ECDsa.Create(curve.Parameters(point));
        return key.VerifyData(data, fixedWidth, curve.Hash, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);
    }

    private protected override bool VerifySignature(string algorithm, ReadOnlySpan<byte> data, ReadOnlySpan<byte> signature, ReadOnlySpan<byte> rest) =>
        rest.IsEmpty && VerifyRaw(data, signature);
}
