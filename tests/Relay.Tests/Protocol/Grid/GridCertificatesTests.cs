using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Relay.Protocol.Grid;

namespace Relay.Tests.Protocol.Grid;

public sealed class GridCertificatesTests : IDisposable
{
    private static readonly DateTimeOffset Now = new(2026, 11, 20, 12, 0, 0, TimeSpan.Zero);
    private static readonly TimeSpan Days = TimeSpan.FromDays(7);
    private readonly X509Certificate2 ca = GridCertificates.CreateAuthority("test", Now, TimeSpan.FromDays(365));
    private readonly ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);

    public void Dispose()
    {
        ca.Dispose();
        key.Dispose();
    }

    [Theory]
    [InlineData(GridRole.Silo, "silo-1")]
    [InlineData(GridRole.Gateway, "gw.eu-west.example")]
    public void A_leaf_of_the_grid_is_read_back_as_who_it_was_issued_to(GridRole role, string name)
    {
        using var leaf = Issue(new GridPeer(role, name));
        Assert.True(GridCertificates.TryReadIdentity(leaf, ca, Now, out var peer));
        Assert.Equal(new GridPeer(role, name), peer);
    }

    [Fact]
    public void No_certificate_is_missing() =>
        Assert.Equal(GridCertificateError.Missing, GridCertificates.Check(null, ca, Now, out _));

    [Fact]
    public void A_leaf_of_another_grid_is_foreign_even_when_its_ca_has_the_same_name()
    {
        using var other = GridCertificates.CreateAuthority("test", Now, TimeSpan.FromDays(365));
        using var leaf = GridCertificates.Issue(other, new GridPeer(GridRole.Silo, "silo-1"), new PublicKey(key), Now, Days);
        Assert.Equal(GridCertificateError.ForeignAuthority, GridCertificates.Check(leaf, ca, Now, out var peer));
        Assert.Equal(default, peer);
    }

    [Fact]
    public void A_leaf_outside_its_dates_has_expired()
    {
        using var leaf = Issue(new GridPeer(GridRole.Silo, "silo-1"));
        Assert.Equal(GridCertificateError.Expired, GridCertificates.Check(leaf, ca, Now + Days + TimeSpan.FromMinutes(1), out _));
        Assert.Equal(GridCertificateError.Expired, GridCertificates.Check(leaf, ca, Now - TimeSpan.FromMinutes(6), out _));
        Assert.Equal(GridCertificateError.None, GridCertificates.Check(leaf, ca, Now - TimeSpan.FromMinutes(4), out _));
    }

    [Fact]
    public void The_authority_itself_is_no_peer() =>
        Assert.NotEqual(GridCertificateError.None, GridCertificates.Check(ca, ca, Now, out _));

    [Fact]
    public void A_leaf_signed_by_a_leaf_is_foreign()
    {
        using var middleKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var middle = GridCertificates.Issue(ca, new GridPeer(GridRole.Gateway, "gw"), new PublicKey(middleKey), Now, Days);
        var request = Request("relay://grid/silo/silo-1");
        using var leaf = request.Create(middle.SubjectName, X509SignatureGenerator.CreateForECDsa(middleKey), Now, Now.AddDays(1), [1]);
        Assert.Equal(GridCertificateError.ForeignAuthority, GridCertificates.Check(leaf, ca, Now, out _));
    }

    [Theory]
    [InlineData("relay://grid/admin/a")]
    [InlineData("relay://grid/silo/")]
    [InlineData("relay://grid/silo/A")]
    [InlineData("relay://grid/silo/a/b")]
    [InlineData("relay://grid/silo")]
    [InlineData("relay://Grid/silo/a")]
    [InlineData("https://grid/silo/a")]
    public void A_name_that_is_not_exactly_ours_is_no_identity(string uri)
    {
        using var leaf = Request(uri).Create(ca, Now, Now.AddDays(1), [1]);
        Assert.Equal(GridCertificateError.NoIdentity, GridCertificates.Check(leaf, ca, Now, out _));
    }

    [Fact]
    public void Two_names_in_one_leaf_are_no_identity()
    {
        using var leaf = Request("relay://grid/gateway/a", "relay://grid/silo/a").Create(ca, Now, Now.AddDays(1), [1]);
        Assert.Equal(GridCertificateError.NoIdentity, GridCertificates.Check(leaf, ca, Now, out _));
    }

    [Fact]
    public void A_newcomer_finds_the_authority_in_the_leaf_by_its_pin()
    {
        using var leaf = Issue(new GridPeer(GridRole.Silo, "silo-1"));
        Assert.True(GridCertificates.TryReadPinnedAuthority(leaf, GridCertificates.AuthorityPin(ca), out var found));
        using (found)
        {
            Assert.Equal(ca.RawData, found.RawData);
            Assert.True(GridCertificates.TryReadIdentity(leaf, found, Now, out _));
        }

        using var other = GridCertificates.CreateAuthority("test", Now, Days);
        Assert.False(GridCertificates.TryReadPinnedAuthority(leaf, GridCertificates.AuthorityPin(other), out _));
        Assert.False(GridCertificates.TryReadPinnedAuthority(ca, GridCertificates.AuthorityPin(ca), out _));
    }

    [Fact]
    public void A_signing_request_proves_the_key_and_nothing_else()
    {
        Assert.True(GridCertificates.TryReadSigningRequest(GridCertificates.CreateSigningRequest(key), out var read));
        Assert.Equal(key.ExportSubjectPublicKeyInfo(), read.ExportSubjectPublicKeyInfo());

        using var p384 = ECDsa.Create(ECCurve.NamedCurves.nistP384);
        Assert.False(GridCertificates.TryReadSigningRequest(GridCertificates.CreateSigningRequest(p384), out _));
        Assert.False(GridCertificates.TryReadSigningRequest("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----", out _));
        Assert.False(GridCertificates.TryReadSigningRequest(null, out _));

        var tampered = Convert.FromBase64String(string.Concat(GridCertificates.CreateSigningRequest(key).Split('\n').Where(l => !l.StartsWith('-'))));
        tampered[^1] ^= 1;
        Assert.False(GridCertificates.TryReadSigningRequest(new string(PemEncoding.Write("CERTIFICATE REQUEST", tampered)), out _));
    }

    private X509Certificate2 Issue(GridPeer peer) => GridCertificates.Issue(ca, peer, new PublicKey(key), Now, Days);

    private CertificateRequest Request(params string[] uris)
    {
        var request = new CertificateRequest("CN=x", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(Names(uris));
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, true));
        return request;
    }

    // Written by hand: the framework's builder normalises names ("Grid" becomes "grid"), somebody else's CA would not.
    private static X509Extension Names(string[] uris)
    {
        var writer = new System.Formats.Asn1.AsnWriter(System.Formats.Asn1.AsnEncodingRules.DER);
        using (writer.PushSequence())
        {
            foreach (var uri in uris)
            {
                writer.WriteCharacterString(
                    System.Formats.Asn1.UniversalTagNumber.IA5String, uri, new System.Formats.Asn1.Asn1Tag(System.Formats.Asn1.TagClass.ContextSpecific, 6));
            }
        }

        return new X509Extension("2.5.29.17", writer.Encode(), critical: false);
    }
}
