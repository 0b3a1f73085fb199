using System.Diagnostics.CodeAnalysis;
using System.Net;

namespace Relay.Protocol.Ssh;

/// <summary>
/// An OpenSSH certificate, version 01 (PROTOCOL.certkeys). Parsing proves nothing: nothing in here may be believed
/// before <see cref="Check"/> said <see cref="SshCertificateCheck.Valid"/>. Immutable, safe for concurrent use.
/// </summary>
public sealed class SshCertificate
{
    /// <summary>Largest certificate that is looked at, in bytes.</summary>
    public const int MaximumBlobLength = 16 * 1024;

    /// <summary>Critical option and extension names that Relay acts on.</summary>
    internal const string ForceCommandOption = "force-command", SourceAddressOption = "source-address";

    internal SshCertificate(SshCertificateFields fields)
    {
        CertificateType = fields.CertificateType;
        Key = fields.Key;
        Serial = fields.Serial;
        Kind = fields.Kind;
        KeyId = fields.KeyId;
        Principals = fields.Principals;
        ValidAfter = fields.ValidAfter;
        ValidBefore = fields.ValidBefore;
        CriticalOptions = fields.CriticalOptions;
        Extensions = fields.Extensions;
        SignatureKey = fields.SignatureKey;
        Blob = fields.Blob;
        SignedLength = fields.SignedLength;
        Signature = fields.Signature;
    }

    /// <summary>The type's name as in the blob, such as <c>ssh-ed25519-cert-v01@openssh.com</c>.</summary>
    public string CertificateType { get; }

    /// <summary>The certified key.</summary>
    public SshPublicKey Key { get; }

    /// <summary>The authority's number for the certificate; zero when it does not count.</summary>
    public ulong Serial { get; }

    /// <summary>User or host.</summary>
    public SshCertificateKind Kind { get; }

    /// <summary>The authority's free text about the holder; goes to logs.</summary>
    public string KeyId { get; }

    /// <summary>User or host names it is valid for. Empty means nobody to Relay.</summary>
    public IReadOnlyList<string> Principals { get; }

    /// <summary>First second of validity. The Unix epoch means always.</summary>
    public DateTimeOffset ValidAfter { get; }

    /// <summary>First second after validity; <see cref="DateTimeOffset.MaxValue"/> means for ever.</summary>
    public DateTimeOffset ValidBefore { get; }

    /// <summary>Restrictions by name; the value is the raw data, for text a string inside (PROTOCOL.certkeys).</summary>
    public IReadOnlyDictionary<string, byte[]> CriticalOptions { get; }

    /// <summary>Permissions by name, such as <c>permit-pty</c>; the data is mostly empty. Unknown ones are ignored.</summary>
    public IReadOnlyDictionary<string, byte[]> Extensions { get; }

    /// <summary>The key that signed it: a plain key, never a certificate (L21).</summary>
    public SshPublicKey SignatureKey { get; }

    /// <summary>The whole certificate as it is sent.</summary>
    public ReadOnlyMemory<byte> Blob { get; }

    /// <summary>
    /// The only command the holder may run, null when there is no such restriction. <see cref="Check"/> accepts the
    /// option but runs nothing: whoever starts commands must obey it.
    /// </summary>
    public string? ForceCommand =>
        CriticalOptions.TryGetValue(ForceCommandOption, out byte[]? data) && SshCertificateOptions.TryReadText(data, out string text) ? text : null;

    /// <summary>How many bytes of <see cref="Blob"/> the authority signed: all up to the signature.</summary>
    internal int SignedLength { get; }

    /// <summary>The authority's signature blob.</summary>
    internal ReadOnlyMemory<byte> Signature { get; }

    /// <summary>
    /// Reads a certificate blob, all of it. False with the reason for a type that is not known, a key that
    /// <see cref="SshPublicKey.TryParse"/> refuses, options out of order or given twice (PROTOCOL.certkeys), a signer
    /// that is itself a certificate, and anything over the limits.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> blob, [NotNullWhen(true)] out SshCertificate? certificate, [NotNullWhen(false)] out string? error) =>
        SshCertificateParser.TryParse(blob, out certificate, out error);

    /// <summary>Reads one line as in a <c>-cert.pub</c> file: type, base64, and an optional comment (empty when absent).</summary>
    public static bool TryParseLine(string line, [NotNullWhen(true)] out SshCertificate? certificate, out string comment, [NotNullWhen(false)] out string? error)
    {
        certificate = null;
        return SshKeyLine.TrySplit(line, MaximumBlobLength, out string? type, out byte[]? blob, out comment, out error)
            && SshKeyLine.TryMatchType(type, blob, out error)
            && TryParse(blob, out certificate, out error);
    }

    /// <summary>
    /// The one place where certificates are checked (L5): kind, authority, signature, dates, principal, critical
    /// options, in this order; the first fault is the answer.
    /// </summary>
    /// <param name="kind">What it is to be used for.</param>
    /// <param name="authority">The key that must have signed it.</param>
    /// <param name="now">The current time.</param>
    /// <param name="principal">The user or host name asked for; null leaves the principals unchecked, for a caller that maps them itself.</param>
    /// <param name="source">The peer's address. Null means not known, and fails a certificate that is limited to addresses.</param>
    public SshCertificateCheck Check(SshCertificateKind kind, SshPublicKey authority, DateTimeOffset now, string? principal, IPAddress? source)
    {
        ArgumentNullException.ThrowIfNull(authority);
        if (Kind != kind) return SshCertificateCheck.WrongKind;
        if (!authority.Equals(SignatureKey)) return SshCertificateCheck.UntrustedAuthority;
        if (!HasGoodSignature()) return SshCertificateCheck.BadSignature;
        if (now < ValidAfter) return SshCertificateCheck.NotYetValid;
        if (now >= ValidBefore && ValidBefore != DateTimeOffset.MaxValue) return SshCertificateCheck.Expired;
        if (principal is not null && !SshCertificateOptions.IsListed(principal, Principals, kind)) return SshCertificateCheck.PrincipalNotListed;
        return SshCertificateOptions.Check(kind, CriticalOptions, source);
    }

    /// <summary>The certificate as one line: type, base64, and the comment unless it is null or empty.</summary>
    /// <exception cref="ArgumentException">The comment holds a control character, such as a line break.</exception>
    public string ToLine(string? comment = null) => SshKeyLine.Format(CertificateType, Blob.Span, comment);

    /// <summary>Type, key id, serial and the certified key's fingerprint, for logs.</summary>
    public override string ToString() => $"{CertificateType} {Key.Fingerprint} id \"{KeyId}\" serial {Serial}";

    private bool HasGoodSignature()
    {
        // The signature names its algorithm itself; the signer's key decides which names count, so no SHA-1.
        var reader = new SshReader(Signature.Span);
        return reader.TryReadText(SshReader.MaximumNameLength, out string algorithm)
            && SignatureKey.Verify(algorithm, Blob.Span[..SignedLength], Signature.Span);
    }
}
