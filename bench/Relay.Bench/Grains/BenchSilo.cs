using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Relay.GrainHost.Hosting;
using Relay.GrainHost.Links;
using Relay.GrainHost.Membership;

namespace Relay.Bench.Grains;

/// <summary>A grain host behind a TLS 1.3 listener on loopback.</summary>
internal sealed class BenchSilo : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);

    private BenchSilo(IMembershipTable table)
    {
        _listener.Start();
        var options = new GrainHostOptions { Address = _listener.LocalEndpoint.ToString()!, GrainAssemblies = { typeof(BenchSilo).Assembly } };
        Host = new GrainSilo(options, table, new Dialler(), new ServiceCollection().BuildServiceProvider(), TimeProvider.System, NullLogger<GrainSilo>.Instance);
    }

    public GrainSilo Host { get; }

    public static X509Certificate2 Certificate { get; } = MakeCertificate();

    public static async Task<BenchSilo> StartAsync(IMembershipTable table, CancellationToken cancellationToken)
    {
        var silo = new BenchSilo(table);
        _ = silo.AcceptAsync();
        await silo.Host.StartAsync(cancellationToken);
        return silo;
    }

    /// <summary>The client's side of a TLS connection to <paramref name="endPoint"/>.</summary>
    public static async Task<SslStream> DialAsync(IPEndPoint endPoint, CancellationToken cancellationToken)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(endPoint, cancellationToken);
        var tls = new SslStream(new NetworkStream(socket, ownsSocket: true));
        var options = new SslClientAuthenticationOptions
        {
            TargetHost = "bench",
            EnabledSslProtocols = SslProtocols.Tls13,
            // Both ends are this process.
            RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate!.GetCertHashString() == Certificate.GetCertHashString(),
        };
        await tls.AuthenticateAsClientAsync(options, cancellationToken);
        return tls;
    }

    /// <summary>The server's side.</summary>
    public static async Task<SslStream> AnswerAsync(TcpClient client)
    {
        client.NoDelay = true;
        var tls = new SslStream(client.GetStream());
        await tls.AuthenticateAsServerAsync(new SslServerAuthenticationOptions { ServerCertificate = Certificate, EnabledSslProtocols = SslProtocols.Tls13 });
        return tls;
    }

    public async ValueTask DisposeAsync()
    {
        _listener.Dispose();
        await Host.DisposeAsync();
    }

    private static X509Certificate2 MakeCertificate()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var now = TimeProvider.System.GetUtcNow();
        return new CertificateRequest("CN=bench", key, HashAlgorithmName.SHA256).CreateSelfSigned(now.AddHours(-1), now.AddHours(1));
    }

    private async Task AcceptAsync()
    {
        while (true)
        {
            try
            {
                var client = await _listener.AcceptTcpClientAsync();
                _ = Host.AcceptAsync(await AnswerAsync(client), "");
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                return;
            }
        }
    }

    private sealed class Dialler : ISiloTransport
    {
        public async ValueTask<Stream> ConnectAsync(string siloAddress, CancellationToken cancellationToken) => await DialAsync(IPEndPoint.Parse(siloAddress), cancellationToken);
    }
}
