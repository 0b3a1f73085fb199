using System.Security.Cryptography;

namespace Relay.Protocol.Ssh;

/// <summary>Puts a certificate together and has an authority sign it. Not thread-safe.</summary>
public sealed class SshCertificateBuilder
{
    /// <summary>Length of the random nonce, in bytes: it makes the signed bytes unpredictable (PROTOCOL.certkeys).</summary>
    private const int NonceLength = 32;

    /// <summary>The key to certify.</summary>
    public required SshPublicKey Key { get; init; }

    /// <summary>User or host.</summary>
    public required SshCertificateKind Kind { get; init; }

    /// <summary>The authority's number for the certificate. Default: 0, not numbered.</summary>
    public ulong Serial { get; set; }

    /// <summary>Free text about the holder, at most 1,024 bytes; goes to the logs of those who check it.</summary>
    public string KeyId { get; set; } = "";

    /// <summary>User or host names it is valid for. None means nobody to Relay, and anybody to some other software: give at least one.</summary>
    public List<string> Principals { get; } = [];

    /// <summary>First second of validity. Default: the Unix epoch, always.</summary>
    public DateTimeOffset ValidAfter { get; set; } = DateTimeOffset.UnixEpoch;

    /// <summary>First second after validity; fractions are cut off. <see cref="DateTimeOffset.MaxValue"/> means for ever. Must be set.</summary>
    public required DateTimeOffset ValidBefore { get; set; }

    /// <summary>Restrictions by name with their raw data; for text use <see cref="SetCriticalOption"/>.</summary>
    public SortedDictionary<string, byte[]> CriticalOptions { get; } = new(StringComparer.Ordinal);

    /// <summary>Permissions by name with their raw data; for flags use <see cref="AddExtension"/>.</summary>
    public SortedDictionary<string, byte[]> Extensions { get; } = new(StringComparer.Ordinal);

    /// <summary>Sets a critical option to a text, such as <c>source-address</c> to <c>10.0.0.0/8,192.0.2.1</c>.</summary>
    public SshCertificateBuilder SetCriticalOption(string name, string value)
    {
        CriticalOptions[name] = SshCertificateOptions.WriteText(value);
        return this;
    }

    /// <summary>Adds an extension without data, such as <c>permit-pty</c>.</summary>
    public SshCertificateBuilder AddExtension(string name)
    {
        Extensions[name] = [];
        return this;
    }

    /// <summary>The certificate, signed by <paramref name="authority"/> (RSA with SHA-512) under a fresh nonce.</summary>
    /// <exception cref="InvalidOperationException">The fields do not make a certificate that <see cref="SshCertificate.TryParse"/> takes; the message says why.</exception>
    public SshCertificate Sign(SshPrivateKey authority)
    {
        ArgumentNullException.ThrowIfNull(authority);
        Span<byte> nonce = stackalloc byte[NonceLength];
        RandomNumberGenerator.Fill(nonce);

        using var writer = new SshWriter(1024);
        writer.WriteString(SshKeyTypes.ToCertificate(Key.KeyType));
        writer.WriteString(nonce);
        writer.WriteBytes(KeyFields());
        writer.WriteUInt64(Serial);
        writer.WriteUInt32((uint)Kind);
        writer.WriteString(KeyId);
        int principals = writer.BeginString();
        foreach (string principal in Principals) writer.WriteString(principal);
        writer.EndString(principals);
        writer.WriteUInt64(SshCertificateTime.ToWire(ValidAfter));
        writer.WriteUInt64(SshCertificateTime.ToWire(ValidBefore));
        WriteOptions(writer, CriticalOptions);
        WriteOptions(writer, Extensions);
        writer.WriteString(""); // reserved
        writer.WriteString(authority.PublicKey.Blob.Span);
        writer.WriteString(authority.Sign(authority.PublicKey.SignatureAlgorithms[0], writer.WrittenSpan));

        // What we sign we must be able to read back: the limits and the order of options are the parser's.
        return SshCertificate.TryParse(writer.WrittenSpan, out SshCertificate? certificate, out string? error)
            ? certificate
            : throw new InvalidOperationException($"The certificate's fields do not fit: {error}.");
    }

    private ReadOnlySpan<byte> KeyFields()
    {
        var reader = new SshReader(Key.Blob.Span);
        reader.TryReadString(out _); // the type's name, there in every parsed key
        return reader.Rest;
    }

    private static void WriteOptions(SshWriter writer, SortedDictionary<string, byte[]> options)
    {
        int mark = writer.BeginString();
        foreach ((string name, byte[] data) in options)
        {
            writer.WriteString(name);
            writer.WriteString(data);
        }

        writer.EndString(mark);
    }
}
