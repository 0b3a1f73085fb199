using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Relay.Protocol.Grid;

namespace Relay.Gateway.Grid;

/// <summary>The gateway's certificate with its key, and the CA that issued it. Caller disposes it.</summary>
internal sealed class GatewayCredential(X509Certificate2 certificate, X509Certificate2 authority) : IDisposable
{
    public X509Certificate2 Certificate { get; } = certificate;

    public X509Certificate2 Authority { get; } = authority;

    /// <summary>When to ask for the next certificate: two thirds into this one's life.</summary>
    public DateTimeOffset RenewAt
    {
        get
        {
            DateTimeOffset begin = Certificate.NotBefore;
            return begin + ((Certificate.NotAfter - begin) * 2 / 3);
        }
    }

    /// <summary>Puts a new certificate and its key together. False: they do not belong together, or not to <paramref name="name"/> in this grid.</summary>
    public static bool TryCreate(string certificatePem, string keyPem, string authorityPem, string pin, string name, DateTimeOffset now, [NotNullWhen(true)] out GatewayCredential? credential)
    {
        credential = null;
        X509Certificate2? authority = null;
        X509Certificate2? certificate = null;
        try
        {
            authority = X509Certificate2.CreateFromPem(authorityPem);
            certificate = X509Certificate2.CreateFromPem(certificatePem, keyPem);
            if (!CryptographicOperations.FixedTimeEquals(
                    System.Text.Encoding.ASCII.GetBytes(GridCertificates.AuthorityPin(authority)),
                    System.Text.Encoding.ASCII.GetBytes(pin.ToLowerInvariant()))
                || GridCertificates.Check(certificate, authority, now, out var peer) != GridCertificateError.None
                || peer != new GridPeer(GridRole.Gateway, name))
            {
                return false;
            }

            credential = new GatewayCredential(certificate, authority);
            (authority, certificate) = (null, null);
            return true;
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            return false;
        }
        finally
        {
            authority?.Dispose();
            certificate?.Dispose();
        }
    }

    public void Dispose()
    {
        Certificate.Dispose();
        Authority.Dispose();
    }
}
