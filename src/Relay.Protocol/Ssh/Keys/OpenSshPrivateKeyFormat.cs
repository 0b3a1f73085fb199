using System.Security.Cryptography;
using System.Text;

namespace Relay.Protocol.Ssh;

/// <summary>OpenSSH's own private key file, PROTOCOL.key, without encryption.</summary>
internal static class OpenSshPrivateKeyFormat
{
    public const string Label = "OPENSSH PRIVATE KEY";

    /// <summary>Why a key under a passphrase is refused, whatever its format.</summary>
    public const string EncryptedError = "the key is protected by a passphrase; remove it first, for example with: ssh-keygen -p -N '' -f <file>";

    private const string Malformed = "malformed OpenSSH private key";
    private const int BlockLength = 8;
    private const int LineLength = 70;

    private static ReadOnlySpan<byte> Magic => "openssh-key-v1\0"u8;

    /// <summary>Reads the decoded body. Null with the reason.</summary>
    public static SshKeyMaterial? Read(ReadOnlySpan<byte> body, out string error)
    {
        error = Malformed;
        if (!body.StartsWith(Magic)) return null;
        var reader = new SshReader(body[Magic.Length..]);
        if (!reader.TryReadString(out ReadOnlySpan<byte> cipher) || !reader.TryReadString(out ReadOnlySpan<byte> kdf) || !reader.TryReadString(out _)) return null;
        if (!cipher.SequenceEqual("none"u8) || !kdf.SequenceEqual("none"u8))
        {
            error = EncryptedError;
            return null;
        }

        if (!reader.TryReadUInt32(out uint keys) || keys != 1
            || !reader.TryReadString(out ReadOnlySpan<byte> publicBlob)
            || !reader.TryReadString(out ReadOnlySpan<byte> section) || section.Length % BlockLength != 0
            || !reader.IsAtEnd) return null;

        SshKeyMaterial? material = ReadSection(section, ref error);
        if (material is null || material.PublicKey.Blob.Span.SequenceEqual(publicBlob)) return material;
        material.Dispose();
        return null;
    }

    /// <summary>The whole file. The comment is the caller's; a control character in it is refused by <see cref="ArgumentException"/>.</summary>
    public static string Write(SshKeyMaterial material, string comment)
    {
        if (comment.Any(char.IsControl)) throw new ArgumentException("A key's comment must not hold control characters.", nameof(comment));
        using var writer = new SshWriter(4096);
        writer.WriteBytes(Magic);
        writer.WriteString("none");
        writer.WriteString("none");
        writer.WriteString("");
        writer.WriteUInt32(1);
        writer.WriteString(material.PublicKey.Blob.Span);
        int mark = writer.BeginString();
        int start = writer.Length;
        // Two equal random numbers show a reader that it decrypted with the right passphrase; here there is none.
        Span<byte> check = stackalloc byte[sizeof(uint)];
        RandomNumberGenerator.Fill(check);
        writer.WriteBytes(check);
        writer.WriteBytes(check);
        writer.WriteString(material.PublicKey.KeyType);
        material.WriteFields(writer);
        writer.WriteString(comment);
        for (byte pad = 1; (writer.Length - start) % BlockLength != 0; pad++) writer.WriteByte(pad);
        writer.EndString(mark);
        return Wrap(writer.WrittenSpan);
    }

    private static SshKeyMaterial? ReadSection(ReadOnlySpan<byte> section, ref string error)
    {
        var reader = new SshReader(section);
        if (!reader.TryReadUInt32(out uint first) || !reader.TryReadUInt32(out uint second) || first != second) return null;
        if (!reader.TryReadText(SshPublicKeyParser.MaximumTypeLength, out string type)) return null;
        SshKeyMaterial? material;
        switch (type)
        {
            case SshKeyTypes.Ed25519:
                material = Ed25519KeyMaterial.Read(ref reader);
                break;
            case SshKeyTypes.EcdsaP256 or SshKeyTypes.EcdsaP384 or SshKeyTypes.EcdsaP521:
                material = EcdsaKeyMaterial.Read(ref reader, EcdsaCurve.OfKeyType(type));
                break;
            case SshKeyTypes.Rsa:
                material = RsaKeyMaterial.Read(ref reader);
                break;
            default:
                error = "a private key of a type that is not accepted";
                return null;
        }

        if (material is not null && reader.TryReadString(out _) && IsPadding(reader.Rest)) return material;
        material?.Dispose();
        return null;
    }

    // PROTOCOL.key: the padding is 1, 2, 3, …
    private static bool IsPadding(ReadOnlySpan<byte> padding)
    {
        if (padding.Length >= BlockLength) return false;
        for (int i = 0; i < padding.Length; i++)
        {
            if (padding[i] != i + 1) return false;
        }

        return true;
    }

    private static string Wrap(ReadOnlySpan<byte> body)
    {
        string base64 = Convert.ToBase64String(body);
        var text = new StringBuilder(base64.Length + (base64.Length / LineLength) + 80);
        text.Append("-----BEGIN ").Append(Label).Append("-----\n");
        for (int i = 0; i < base64.Length; i += LineLength)
            text.Append(base64, i, Math.Min(LineLength, base64.Length - i)).Append('\n');
        return text.Append("-----END ").Append(Label).Append("-----\n").ToString();
    }
}
