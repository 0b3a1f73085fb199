using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Relay.Protocol.Grid;
using Relay.Protocol.Tunnel;
using Relay.Silo.Authorities;
using Relay.Silo.Hosting;

namespace Relay.Silo.Grid;

/// <summary>
/// This silo's own leaf: a key that never leaves memory, certified at start and again when half its life is over,
/// so that no silo ever has to be restarted for a certificate. Safe for concurrent use.
/// </summary>
internal sealed class GridCertificate : IDisposable
{
    private readonly Lock _lock = new();
    private readonly ECDsa _key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
    private readonly IAuthorities _authorities;
    private readonly TimeProvider _time;
    private readonly GridPeer _self;
    private volatile Issued? _current;

    public GridCertificate(IAuthorities authorities, SiloOptions options, TimeProvider time)
    {
        _authorities = authorities;
        _time = time;
        _self = new GridPeer(GridRole.Silo, options.Name);
    }

    /// <summary>The only CA whose leaves are accepted.</summary>
    public X509Certificate2 Authority => _authorities.GridCa;

    /// <summary>For both ends of TLS. Earlier ones stay usable by handshakes that hold them.</summary>
    public SslStreamCertificateContext Context => Current().Context;

    /// <summary>The leaf with its key, as in <see cref="Context"/>. Not the caller's to dispose.</summary>
    public X509Certificate2 Leaf => Context.TargetCertificate;

    /// <summary>Who is at the other end; false for a certificate that does not hold now.</summary>
    public bool TryReadPeer(X509Certificate2? leaf, out GridPeer peer) =>
        GridCertificates.TryReadIdentity(leaf, Authority, _time.GetUtcNow(), out peer);

    /// <summary>The options of a TLS client towards a silo: presents our leaf, accepts only a silo of this grid.</summary>
    /// <param name="protocol">The one ALPN name offered.</param>
    public SslClientAuthenticationOptions ClientOptions(SslApplicationProtocol protocol) => new()
    {
        // Identity is the URI in the leaf, not the host name that was dialled.
        TargetHost = "relay-grid",
        ApplicationProtocols = [protocol],
        EnabledSslProtocols = System.Security.Authentication.SslProtocols.Tls13,
        CipherSuitesPolicy = TlsSocketStream.Suites,
        ClientCertificateContext = Context,
        CertificateChainPolicy = ChainPolicy(),
        RemoteCertificateValidationCallback = (_, certificate, _, _) =>
            TryReadPeer(certificate as X509Certificate2, out var peer) && peer.Role == GridRole.Silo,
    };

    /// <summary>For the chain that SslStream builds before it asks us: no downloads on a stranger's word, no other roots.</summary>
    public X509ChainPolicy ChainPolicy()
    {
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
            DisableCertificateDownloads = true,
        };
        policy.CustomTrustStore.Add(Authority);
        return policy;
    }

    public void Dispose() => _key.Dispose();

    private Issued Current()
    {
        var now = _time.GetUtcNow();
        if (_current is { } issued && now < issued.RenewAt)
            return issued;
        lock (_lock)
        {
            if (_current is { } renewed && now < renewed.RenewAt)
                return renewed;
            using var leaf = _authorities.IssueGridCertificate(_self, new PublicKey(_key));
            // SslStream keeps the key's handle, so the copy is what lives on in the context.
            var withKey = leaf.CopyWithPrivateKey(_key);
            var renewAt = now + ((new DateTimeOffset(withKey.NotAfter) - now) / 2);
            return _current = new Issued(SslStreamCertificateContext.Create(withKey, additionalCertificates: null, offline: true), renewAt);
        }
    }

    private sealed record Issued(SslStreamCertificateContext Context, DateTimeOffset RenewAt);
}
