using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Formats.Asn1;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Relay.Protocol.Grid;

/// <summary>
/// The one place where a certificate of the grid becomes an identity, and where such certificates are made.
/// A leaf is ECDSA P-256 with exactly one name, the URI SAN <c>relay://grid/&lt;role&gt;/&lt;name&gt;</c>, issued directly by the grid's CA.
/// It also carries the CA's certificate in a private extension: TLS does not send a self-signed root, and a newcomer
/// knows only the hash of the CA's key (claim <c>ca</c> of its token), see <see cref="TryReadPinnedAuthority"/>.
/// Safe for concurrent use.
/// </summary>
public static class GridCertificates
{
    // UUID-derived arc (ITU-T X.667): needs no registration and collides with nothing.
    private const string AuthorityExtensionOid = "2.25.279316243580124977126470226311953371648.1";
    private const string ServerAuthOid = "1.3.6.1.5.5.7.3.1";
    private const string ClientAuthOid = "1.3.6.1.5.5.7.3.2";
    private const string UriPrefix = "relay://grid/";
    private const int MaxNameLength = 63;
    private static readonly SearchValues<char> NameCharacters = SearchValues.Create("abcdefghijklmnopqrstuvwxyz0123456789.-");
    private const int MaxCertificateBytes = 4096;

    /// <summary>How far a peer's clock may be ahead of ours: certificates start this much in the past.</summary>
    public static readonly TimeSpan ClockSkew = TimeSpan.FromMinutes(5);

    /// <summary>
    /// Decides who holds <paramref name="leaf"/>, the certificate whose key signed the TLS handshake.
    /// Other certificates that the peer sent are never looked at (L31: a valid certificate elsewhere in the chain proves nothing).
    /// </summary>
    /// <param name="leaf">The peer's own certificate; null when it sent none.</param>
    /// <param name="ca">The grid's CA.</param>
    /// <param name="now">The time to judge dates by.</param>
    /// <param name="peer">Role and name when the result is true; default (no role) otherwise.</param>
    public static bool TryReadIdentity([NotNullWhen(true)] X509Certificate2? leaf, X509Certificate2 ca, DateTimeOffset now, out GridPeer peer) =>
        Check(leaf, ca, now, out peer) == GridCertificateError.None;

    /// <summary>As <see cref="TryReadIdentity"/>, with the reason of a refusal.</summary>
    /// <param name="leaf">The peer's own certificate; null when it sent none.</param>
    /// <param name="ca">The grid's CA.</param>
    /// <param name="now">The time to judge dates by.</param>
    /// <param name="peer">Role and name when the result is <see cref="GridCertificateError.None"/>; default otherwise.</param>
    public static GridCertificateError Check([NotNullWhen(true)] X509Certificate2? leaf, X509Certificate2 ca, DateTimeOffset now, out GridPeer peer)
    {
        ArgumentNullException.ThrowIfNull(ca);
        peer = default;
        if (leaf is null)
        {
            return GridCertificateError.Missing;
        }

        if (leaf.RawDataMemory.Length > MaxCertificateBytes)
        {
            return GridCertificateError.WrongShape;
        }

        // Dates here, by our clock; the chain below is asked about everything but dates.
        if (now < leaf.NotBefore || now > leaf.NotAfter || now < ca.NotBefore || now > ca.NotAfter)
        {
            return GridCertificateError.Expired;
        }

        if (!IsIssuedDirectlyBy(leaf, ca))
        {
            return GridCertificateError.ForeignAuthority;
        }

        if (!HasLeafShape(leaf))
        {
            return GridCertificateError.WrongShape;
        }

        return TryReadName(leaf, out peer) ? GridCertificateError.None : GridCertificateError.NoIdentity;
    }

    /// <summary>SHA-256 over the SubjectPublicKeyInfo of a CA certificate, lower-case hex: the claim <c>ca</c> of tokens.</summary>
    /// <param name="ca">The grid's CA.</param>
    public static string AuthorityPin(X509Certificate2 ca)
    {
        ArgumentNullException.ThrowIfNull(ca);
        return Convert.ToHexStringLower(SHA256.HashData(ca.PublicKey.ExportSubjectPublicKeyInfo()));
    }

    /// <summary>
    /// Reads the grid's CA out of a leaf that a silo presented, for a newcomer that knows only the CA's pin.
    /// False: the leaf carries no CA, or one with another key. True says nothing about the leaf yet: go on with <see cref="TryReadIdentity"/>.
    /// </summary>
    /// <param name="leaf">The certificate the silo presented.</param>
    /// <param name="pin">The token's <c>ca</c> claim, see <see cref="AuthorityPin"/>.</param>
    /// <param name="ca">The CA; the caller disposes it.</param>
    public static bool TryReadPinnedAuthority(X509Certificate2? leaf, string pin, [NotNullWhen(true)] out X509Certificate2? ca)
    {
        ca = null;
        if (leaf?.Extensions[AuthorityExtensionOid] is not { } extension || extension.RawData.Length > MaxCertificateBytes)
        {
            return false;
        }

        X509Certificate2? read = null;
        try
        {
            read = X509CertificateLoader.LoadCertificate(AsnDecoder.ReadOctetString(extension.RawData, AsnEncodingRules.DER, out _));
            if (CryptographicOperations.FixedTimeEquals(
                System.Text.Encoding.ASCII.GetBytes(AuthorityPin(read)), System.Text.Encoding.ASCII.GetBytes(pin.ToLowerInvariant())))
            {
                (ca, read) = (read, null);
            }
        }
        catch (Exception e) when (e is CryptographicException or AsnContentException)
        {
            // What a stranger put into its certificate is not ours to explain: no CA in it.
        }
        finally
        {
            read?.Dispose();
        }

        return ca is not null;
    }

    /// <summary>Makes a grid's CA: self-signed, ECDSA P-256, may sign leaves only.</summary>
    /// <param name="gridName">For the subject, to be read by people.</param>
    /// <param name="now">Start of validity, less <see cref="ClockSkew"/>.</param>
    /// <param name="lifetime">Length of validity from <paramref name="now"/>.</param>
    /// <returns>The certificate with its private key; the caller disposes it.</returns>
    public static X509Certificate2 CreateAuthority(string gridName, DateTimeOffset now, TimeSpan lifetime)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var name = new X500DistinguishedNameBuilder();
        name.AddCommonName($"Relay grid CA {gridName}");
        var request = new CertificateRequest(name.Build(), key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: true, pathLengthConstraint: 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign, critical: true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        return request.CreateSelfSigned(now - ClockSkew, now + lifetime);
    }

    /// <summary>Issues a leaf for a key that the caller knows to be the peer's.</summary>
    /// <param name="ca">The grid's CA with its private key.</param>
    /// <param name="peer">Who the holder will be.</param>
    /// <param name="key">ECDSA P-256.</param>
    /// <param name="now">Start of validity, less <see cref="ClockSkew"/>.</param>
    /// <param name="lifetime">Length of validity from <paramref name="now"/>; cut at the CA's own end.</param>
    /// <returns>The certificate without a private key; the caller disposes it.</returns>
    /// <exception cref="ArgumentException">No role, a name outside <c>[a-z0-9.-]{1,63}</c>, or not a P-256 key.</exception>
    public static X509Certificate2 Issue(X509Certificate2 ca, GridPeer peer, PublicKey key, DateTimeOffset now, TimeSpan lifetime)
    {
        ArgumentNullException.ThrowIfNull(ca);
        ArgumentNullException.ThrowIfNull(key);
        if (peer.Role == GridRole.None || !IsName(peer.Name))
        {
            throw new ArgumentException("A grid certificate needs a role and a name of [a-z0-9.-]{1,63}.", nameof(peer));
        }

        if (!IsP256(key))
        {
            throw new ArgumentException("A grid certificate is for an ECDSA P-256 key.", nameof(key));
        }

        var subject = new X500DistinguishedNameBuilder();
        subject.AddCommonName(peer.Name);
        var request = new CertificateRequest(subject.Build(), key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddUri(new Uri(UriFor(peer)));
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, critical: true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(ServerAuthOid), new Oid(ClientAuthOid)], critical: false));
        request.CertificateExtensions.Add(new X509Extension(AuthorityExtensionOid, EncodeOctetString(ca.RawData), critical: false));

        var end = now + lifetime;
        var notAfter = end < ca.NotAfter ? end : new DateTimeOffset(ca.NotAfter);
        return request.Create(ca, now - ClockSkew, notAfter, RandomNumberGenerator.GetBytes(16));
    }

    /// <summary>
    /// Reads a PKCS#10 request (PEM): its signature is checked, so the sender holds the key; names and extensions in it are ignored.
    /// False: not a request, a signature that does not hold, or not an ECDSA P-256 key.
    /// </summary>
    /// <param name="pem">The request; at most 8 KiB.</param>
    /// <param name="key">The sender's public key.</param>
    public static bool TryReadSigningRequest(string? pem, [NotNullWhen(true)] out PublicKey? key)
    {
        key = null;
        if (pem is null || pem.Length > 8192)
        {
            return false;
        }

        try
        {
            key = CertificateRequest.LoadSigningRequestPem(pem, HashAlgorithmName.SHA256).PublicKey;
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException or NotSupportedException)
        {
            return false;
        }

        if (IsP256(key))
        {
            return true;
        }

        key = null;
        return false;
    }

    /// <summary>Makes a PKCS#10 request (PEM) for <paramref name="key"/>; the issuer decides the name.</summary>
    /// <param name="key">ECDSA P-256.</param>
    public static string CreateSigningRequest(ECDsa key)
    {
        ArgumentNullException.ThrowIfNull(key);
        return new CertificateRequest(new X500DistinguishedName("CN=relay"), key, HashAlgorithmName.SHA256).CreateSigningRequestPem();
    }

    /// <summary>The name inside a certificate: <c>relay://grid/&lt;role&gt;/&lt;name&gt;</c>.</summary>
    /// <param name="peer">Role and name.</param>
    public static string UriFor(GridPeer peer) => $"{UriPrefix}{(peer.Role == GridRole.Silo ? "silo" : "gateway")}/{peer.Name}";

    /// <summary>True for 1..63 characters of <c>[a-z0-9.-]</c>, the only names of silos and gateways.</summary>
    /// <param name="name">The candidate.</param>
    public static bool IsName([NotNullWhen(true)] string? name) =>
        name is { Length: > 0 and <= MaxNameLength } && !name.AsSpan().ContainsAnyExcept(NameCharacters);

    private static bool IsIssuedDirectlyBy(X509Certificate2 leaf, X509Certificate2 ca)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.Add(ca);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.DisableCertificateDownloads = true;
        chain.ChainPolicy.VerificationFlags = X509VerificationFlags.IgnoreNotTimeValid;
        return chain.Build(leaf)
            && chain.ChainElements.Count == 2
            && chain.ChainElements[1].Certificate.RawDataMemory.Span.SequenceEqual(ca.RawDataMemory.Span);
    }

    private static bool HasLeafShape(X509Certificate2 leaf)
    {
        var signs = false;
        foreach (var extension in leaf.Extensions)
        {
            switch (extension)
            {
                // L21: a certificate that may itself sign is never a peer.
                case X509BasicConstraintsExtension { CertificateAuthority: true }:
                    return false;
                case X509KeyUsageExtension usage:
                    signs = usage.KeyUsages == X509KeyUsageFlags.DigitalSignature;
                    break;
            }
        }

        return signs && IsP256(leaf.PublicKey);
    }

    private static bool TryReadName(X509Certificate2 leaf, out GridPeer peer)
    {
        peer = default;
        X509Extension? names = null;
        foreach (var extension in leaf.Extensions)
        {
            if (extension.Oid?.Value == "2.5.29.17")
            {
                if (names is not null)
                {
                    return false;
                }

                names = extension;
            }
        }

        return names is not null && TryReadOnlyUri(names.RawData, out var uri) && TryParseUri(uri, out peer);
    }

    // RFC 5280 §4.2.1.6: GeneralNames ::= SEQUENCE OF GeneralName; uniformResourceIdentifier [6] IA5String.
    private static bool TryReadOnlyUri(byte[] generalNames, [NotNullWhen(true)] out string? uri)
    {
        uri = null;
        try
        {
            var sequence = new AsnReader(generalNames, AsnEncodingRules.DER).ReadSequence();
            var tag = new Asn1Tag(TagClass.ContextSpecific, 6);
            if (!sequence.PeekTag().HasSameClassAndValue(tag))
            {
                return false;
            }

            var read = sequence.ReadCharacterString(UniversalTagNumber.IA5String, tag);
            if (sequence.HasData)
            {
                return false;
            }

            uri = read;
            return true;
        }
        catch (AsnContentException)
        {
            return false;
        }
    }

    private static bool TryParseUri(string uri, out GridPeer peer)
    {
        peer = default;
        if (!uri.StartsWith(UriPrefix, StringComparison.Ordinal))
        {
            return false;
        }

        var rest = uri.AsSpan(UriPrefix.Length);
        var slash = rest.IndexOf('/');
        if (slash < 0)
        {
            return false;
        }

        var role = rest[..slash] switch
        {
            "silo" => GridRole.Silo,
            "gateway" => GridRole.Gateway,
            _ => GridRole.None,
        };
        var name = rest[(slash + 1)..].ToString();
        if (role == GridRole.None || !IsName(name))
        {
            return false;
        }

        peer = new GridPeer(role, name);
        return true;
    }

    private static bool IsP256(PublicKey key)
    {
        try
        {
            using var ecdsa = key.GetECDsaPublicKey();
            return ecdsa?.ExportParameters(false).Curve.Oid.Value == "1.2.840.10045.3.1.7";
        }
        catch (CryptographicException)
        {
            return false;
        }
    }

    private static byte[] EncodeOctetString(byte[] value)
    {
        var writer = new AsnWriter(AsnEncodingRules.DER);
        writer.WriteOctetString(value);
        return writer.Encode();
    }
}
