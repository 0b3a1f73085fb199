using System.Security.Cryptography;
using Relay.Protocol.Grid;

namespace Relay.Gateway.Grid;

/// <summary>Gets the gateway's certificate from a silo with its token. The key is made here and leaves this host never.</summary>
internal sealed class Enrollment(GatewayToken token, string name, CredentialStore store, TimeProvider time)
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(10);

    /// <summary>Enrols at the first silo that answers.</summary>
    /// <exception cref="GridException">None answered, or one refused the token.</exception>
    public async Task<GatewayCredential> EnrollAsync(IEnumerable<string> silos, CancellationToken cancellationToken)
    {
        GridException? last = null;
        foreach (var silo in silos)
        {
            try
            {
                return await EnrollAtAsync(silo, cancellationToken);
            }
            catch (GridException e) when (e.IsTransient)
            {
                last = e;
            }
        }

        throw last ?? new GridException("No silo is known: set RELAY_SILOS.", null, "unreachable");
    }

    private async Task<GatewayCredential> EnrollAtAsync(string silo, CancellationToken cancellationToken)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var client = GridTransport.CreatePinned(silo, token.AuthorityPin, time);
        var request = new EnrollRequest(token.Text, name, GridCertificates.CreateSigningRequest(key));
        var answer = await GridCalls.PostAsync(
            client, GridRoutes.Enroll, request, GridJson.Default.EnrollRequest, GridJson.Default.EnrollResponse, s_timeout, time, cancellationToken);
        var keyPem = key.ExportPkcs8PrivateKeyPem();
        if (!GatewayCredential.TryCreate(answer.Certificate, keyPem, answer.CaCertificate, token.AuthorityPin, name, time.GetUtcNow(), out var credential))
        {
            throw new GridException("The silo issued a certificate that does not hold for this gateway.", System.Net.HttpStatusCode.OK, "protocol");
        }

        store.Save(answer.Certificate, keyPem, answer.CaCertificate);
        return credential;
    }
}
