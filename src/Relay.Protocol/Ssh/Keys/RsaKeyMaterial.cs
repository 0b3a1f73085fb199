using System.Numerics;
using System.Security.Cryptography;

namespace Relay.Protocol.Ssh;

/// <summary>The secret of an ssh-rsa key.</summary>
internal sealed class RsaKeyMaterial : SshKeyMaterial
{
    private readonly RSA _key;
    private readonly Lock _turn = new(); // the framework promises no concurrent use of one RSA object

    /// <summary>Takes over the key, which is disposed with this. Its size has been checked.</summary>
    public RsaKeyMaterial(RSA key)
    {
        _key = key;
        RSAParameters parameters = key.ExportParameters(includePrivateParameters: false);
        byte[] blob = RsaSshPublicKey.WriteBlob(parameters.Modulus, parameters.Exponent);
        PublicKey = new RsaSshPublicKey(blob, parameters.Modulus!, parameters.Exponent!);
    }

    public override SshPublicKey PublicKey { get; }

    /// <summary>Reads mpint n, e, d, iqmp, p, q; the size is checked before any arithmetic (L12).</summary>
    public static RsaKeyMaterial? Read(ref SshReader reader)
    {
        if (!reader.TryReadMpint(out ReadOnlySpan<byte> n) || !reader.TryReadMpint(out ReadOnlySpan<byte> e)
            || !reader.TryReadMpint(out ReadOnlySpan<byte> d) || !reader.TryReadMpint(out ReadOnlySpan<byte> iqmp)
            || !reader.TryReadMpint(out ReadOnlySpan<byte> p) || !reader.TryReadMpint(out ReadOnlySpan<byte> q)) return null;
        int half = (n.Length + 1) / 2;
        if (RsaLimits.Refuse(n, e) is not null || d.Length > n.Length || iqmp.Length > half || p.Length > half || q.Length > half || p.Length < 64 || q.Length < 64)
            return null;

        var parameters = new RSAParameters
        {
            Modulus = n.ToArray(),
            Exponent = e.ToArray(),
            D = Pad(d, n.Length),
            P = Pad(p, half),
            Q = Pad(q, half),
            InverseQ = Pad(iqmp, half),
            DP = Reduce(d, p, half),
            DQ = Reduce(d, q, half),
        };
        try
        {
            return new RsaKeyMaterial(RSA.Create(parameters));
        }
        finally
        {
            Wipe(parameters);
        }
    }

    public override byte[] Sign(string algorithm, ReadOnlySpan<byte> data)
    {
        lock (_turn) return _key.SignData(data, RsaSshPublicKey.HashOf(algorithm), RSASignaturePadding.Pkcs1);
    }

    public override void WriteFields(SshWriter writer)
    {
        RSAParameters parameters;
        lock (_turn) parameters = _key.ExportParameters(includePrivateParameters: true);
        writer.WriteMpint(parameters.Modulus);
        writer.WriteMpint(parameters.Exponent);
        writer.WriteMpint(parameters.D);
        writer.WriteMpint(parameters.InverseQ);
        writer.WriteMpint(parameters.P);
        writer.WriteMpint(parameters.Q);
        Wipe(parameters);
    }

    public override void Dispose() => _key.Dispose();

    private static byte[] Pad(ReadOnlySpan<byte> magnitude, int length)
    {
        var padded = new byte[length];
        magnitude.CopyTo(padded.AsSpan(length - magnitude.Length));
        return padded;
    }

    // d mod (prime - 1): OpenSSH's file leaves it out. Done once, when an administrator imports a key, so the
    // arithmetic's timing shows nobody anything; BigInteger's copies cannot be wiped and are left to the collector.
    private static byte[] Reduce(ReadOnlySpan<byte> d, ReadOnlySpan<byte> prime, int length)
    {
        BigInteger exponent = new(d, isUnsigned: true, isBigEndian: true);
        BigInteger modulus = new BigInteger(prime, isUnsigned: true, isBigEndian: true) - 1;
        return Pad(BigInteger.Remainder(exponent, modulus).ToByteArray(isUnsigned: true, isBigEndian: true), length);
    }

    private static void Wipe(RSAParameters parameters)
    {
        CryptographicOperations.ZeroMemory(parameters.D);
        CryptographicOperations.ZeroMemory(parameters.P);
        CryptographicOperations.ZeroMemory(parameters.Q);
        CryptographicOperations.ZeroMemory(parameters.DP);
        CryptographicOperations.ZeroMemory(parameters.DQ);
        CryptographicOperations.ZeroMemory(parameters.InverseQ);
    }
}
