using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Relay.Protocol.Grid;
using Relay.Protocol.Tunnel;

namespace Relay.Gateway.Grid;

/// <summary>Makes HTTP/2 clients to silos: TLS 1.3, the silo proven by the grid's CA alone (the address says nothing about identity).</summary>
internal static class GridTransport
{
    /// <summary>Flow-control window of one stream, design section 5.</summary>
    public const int StreamWindowBytes = 4 * 1024 * 1024;

    /// <summary>A client for requests that presents the gateway's current certificate.</summary>
    /// <param name="credential">Asked at each new connection, so that a renewed certificate is used at once.</param>
    public static HttpClient CreateMutual(string siloAddress, Func<GatewayCredential> credential, TimeProvider time) =>
        CreateClient(siloAddress, CreateHandler(Mutual(credential, time)));

    /// <summary>As <see cref="CreateMutual"/>, for duplex streams: an HttpClient would wait for the end of the answer.</summary>
    public static HttpMessageInvoker CreateStreams(Func<GatewayCredential> credential, TimeProvider time)
    {
        var handler = CreateHandler(Mutual(credential, time));
        var tls = handler.SslOptions;
        handler.ConnectCallback = (context, cancellationToken) => ConnectAsync(context.DnsEndPoint, tls, cancellationToken);
        return new HttpMessageInvoker(handler);
    }

    /// <summary>A client for enrolment: no certificate yet, the CA known by its pin.</summary>
    public static HttpClient CreatePinned(string siloAddress, string authorityPin, TimeProvider time) =>
        CreateClient(siloAddress, CreateHandler(new SslClientAuthenticationOptions
        {
            RemoteCertificateValidationCallback = (_, certificate, _, _) => IsPinnedSilo(certificate as X509Certificate2, authorityPin, time.GetUtcNow()),
        }));

    // The handler takes an authenticated TLS stream as it is, and this one is made for much data.
    private static async ValueTask<Stream> ConnectAsync(DnsEndPoint silo, SslClientAuthenticationOptions options, CancellationToken cancellationToken)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        var stream = new TlsSocketStream(socket);
        try
        {
            await socket.ConnectAsync(silo, cancellationToken);
            await stream.AuthenticateAsClientAsync(options, cancellationToken);
            return stream;
        }
        catch
        {
            await stream.DisposeAsync();
            throw;
        }
    }

    private static SslClientAuthenticationOptions Mutual(Func<GatewayCredential> credential, TimeProvider time) => new()
    {
        LocalCertificateSelectionCallback = (_, _, _, _, _) => credential().Certificate,
        RemoteCertificateValidationCallback = (_, leaf, _, _) =>
            GridCertificates.TryReadIdentity(leaf as X509Certificate2, credential().Authority, time.GetUtcNow(), out var peer) && peer.Role == GridRole.Silo,
    };

    private static bool IsPinnedSilo(X509Certificate2? leaf, string pin, DateTimeOffset now)
    {
        if (!GridCertificates.TryReadPinnedAuthority(leaf, pin, out var authority))
        {
            return false;
        }

        using (authority)
        {
            return GridCertificates.TryReadIdentity(leaf, authority, now, out var peer) && peer.Role == GridRole.Silo;
        }
    }

    private static SocketsHttpHandler CreateHandler(SslClientAuthenticationOptions tls)
    {
        tls.EnabledSslProtocols = SslProtocols.Tls13;
        tls.CipherSuitesPolicy = TlsSocketStream.Suites;
        tls.TargetHost = "relay-grid"; // identity is the URI in the leaf, not the host name that was dialled
        tls.ApplicationProtocols = [SslApplicationProtocol.Http2];
        tls.CertificateRevocationCheckMode = X509RevocationMode.NoCheck;
        return new SocketsHttpHandler
        {
            SslOptions = tls,
            EnableMultipleHttp2Connections = true,
            InitialHttp2StreamWindowSize = StreamWindowBytes,
            ConnectTimeout = TimeSpan.FromSeconds(5),
            KeepAlivePingDelay = TimeSpan.FromSeconds(10),
            KeepAlivePingTimeout = TimeSpan.FromSeconds(5),
            KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
            AllowAutoRedirect = false,
            UseCookies = false,
            UseProxy = false,
            ActivityHeadersPropagator = null,
        };
    }

    private static HttpClient CreateClient(string siloAddress, SocketsHttpHandler handler) => new(handler)
    {
        BaseAddress = new Uri($"https://{siloAddress}"),
        DefaultRequestVersion = HttpVersion.Version20,
        DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact,
        Timeout = Timeout.InfiniteTimeSpan, // each call has its own deadline
    };
}
