using System.Security.Cryptography;

namespace Relay.Protocol.Ssh;

/// <summary>ssh-rsa keys with the SHA-2 signatures of RFC 8332. Size and exponent have been checked.</summary>
internal sealed class RsaSshPublicKey(byte[] blob, byte[] modulus, byte[] exponent) : SshPublicKey(SshKeyTypes.Rsa, blob)
{
    private static readonly string[] Algorithms = [SshKeyTypes.RsaSha512, SshKeyTypes.RsaSha256];

    public override IReadOnlyList<string> SignatureAlgorithms => Algorithms;

    /// <summary>The blob of modulus and exponent, RFC 4253 §6.6.</summary>
    public static byte[] WriteBlob(ReadOnlySpan<byte> modulus, ReadOnlySpan<byte> exponent)
    {
        using var writer = new SshWriter(modulus.Length + 64);
        writer.WriteString(SshKeyTypes.Rsa);
        writer.WriteMpint(exponent);
        writer.WriteMpint(modulus);
        return writer.ToArray();
    }

    /// <summary>The hash of a signature algorithm of RFC 8332 §3.</summary>
    public static HashAlgorithmName HashOf(string algorithm) =>
        algorithm == SshKeyTypes.RsaSha512 ? HashAlgorithmName.SHA512 : HashAlgorithmName.SHA256;

    private protected override bool VerifySignature(string algorithm, ReadOnlySpan<byte> data, ReadOnlySpan<byte> signature, ReadOnlySpan<byte> rest)
    {
        if (!rest.IsEmpty || signature.IsEmpty || signature.Length > modulus.Length) return false;

        // Some signers drop leading zero bytes; RFC 8017 §8.2.2 wants the modulus' length.
        Span<byte> padded = stackalloc byte[RsaLimits.MaximumBits / 8];
        padded = padded[..modulus.Length];
        padded.Clear();
        signature.CopyTo(padded[(modulus.Length - signature.Length)..]);
        using RSA key = RSA.Create(new RSAParameters { Modulus = modulus, Exponent = exponent });
        return key.VerifyData(data, padded, HashOf(algorithm), RSASignaturePadding.Pkcs1);
    }
}
