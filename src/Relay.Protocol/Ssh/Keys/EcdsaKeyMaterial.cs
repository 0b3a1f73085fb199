using System.Security.Cryptography;

namespace Relay.Protocol.Ssh;

/// <summary>The secret of an ecdsa-sha2-* key.</summary>
internal sealed class EcdsaKeyMaterial : SshKeyMaterial
{
    private readonly EcdsaCurve _curve;
    private readonly ECDsa _key;
    private readonly Lock _turn = new(); // the framework promises no concurrent use of one ECDsa object

    /// <summary>Takes over the key, which is disposed with this.</summary>
    public EcdsaKeyMaterial(EcdsaCurve curve, ECDsa key)
    {
        _curve = curve;
        _key = key;
        byte[] point = EcdsaCurve.Point(key.ExportParameters(includePrivateParameters: false));
        PublicKey = new EcdsaSshPublicKey(curve, EcdsaSshPublicKey.WriteBlob(curve, point), point);
    }

    public override SshPublicKey PublicKey { get; }

    /// <summary>Reads string curve, string Q, mpint d.</summary>
    public static EcdsaKeyMaterial? Read(ref SshReader reader, EcdsaCurve curve)
    {
        if (!reader.TryReadString(out ReadOnlySpan<byte> name) || !SshKeyLine.IsAscii(name, curve.Name)) return null;
        if (!reader.TryReadString(out ReadOnlySpan<byte> point) || !curve.IsOnCurve(point)) return null;
        if (!reader.TryReadMpint(out ReadOnlySpan<byte> d) || d.IsEmpty || d.Length > curve.FieldLength) return null;
        ECParameters parameters = curve.Parameters(point);
        parameters.D = new byte[curve.FieldLength];
        d.CopyTo(parameters.D.AsSpan(curve.FieldLength - d.Length));
        try
        {
            return new EcdsaKeyMaterial(curve, ECDsa.Create(parameters));
        }
        finally
        {
            CryptographicOperations.ZeroMemory(parameters.D);
        }
    }

    public override byte[] Sign(string algorithm, ReadOnlySpan<byte> data)
    {
        byte[] fixedWidth;
        lock (_turn) fixedWidth = _key.SignData(data, _curve.Hash, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);
        using var writer = new SshWriter();
        writer.WriteMpint(fixedWidth.AsSpan(0, _curve.FieldLength));
        writer.WriteMpint(fixedWidth.AsSpan(_curve.FieldLength));
        return writer.ToArray();
    }

    public override void WriteFields(SshWriter writer)
    {
        ECParameters parameters;
        lock (_turn) parameters = _key.ExportParameters(includePrivateParameters: true);
        writer.WriteString(_curve.Name);
        writer.WriteString(EcdsaCurve.Point(parameters));
        writer.WriteMpint(parameters.D);
        CryptographicOperations.ZeroMemory(parameters.D);
    }

    public override void Dispose() => _key.Dispose();
}
