using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Relay.Protocol.Grid;
using Relay.Silo.Grid;

namespace Relay.Tests.Silo.Grid;

/// <summary>Who may call what on the grid's port.</summary>
public sealed class GridPortTests(SiloFixture fixture) : IClassFixture<SiloFixture>
{
    private static readonly Guid Id = Guid.NewGuid();
    private readonly TestSilo _silo = fixture.Silo;

    // What the route answers to a peer that may call it, with an empty body.
    public static TheoryData<string, GridRole, HttpStatusCode> Routes => new()
    {
        { GridRoutes.Hello, GridRole.Gateway, HttpStatusCode.BadRequest },
        { GridRoutes.Control, GridRole.Gateway, HttpStatusCode.BadRequest },
        { GridRoutes.Identify, GridRole.Gateway, HttpStatusCode.BadRequest },
        { GridRoutes.Sessions, GridRole.Gateway, HttpStatusCode.BadRequest },
        { GridRoutes.Authorize(Id), GridRole.Gateway, HttpStatusCode.BadRequest },
        { GridRoutes.Stream(Id), GridRole.Gateway, HttpStatusCode.NotFound },
        { GridRoutes.HostKey(Id), GridRole.Gateway, HttpStatusCode.BadRequest },
        { GridRoutes.Events(Id), GridRole.Gateway, HttpStatusCode.BadRequest },
        { GridRoutes.End(Id), GridRole.Gateway, HttpStatusCode.BadRequest },
        { GridRoutes.RecordingChunk(Id, 0, 0), GridRole.Gateway, HttpStatusCode.BadRequest },
        { GridRoutes.DeviceReport, GridRole.Gateway, HttpStatusCode.BadRequest },
    };

    [Theory]
    [MemberData(nameof(Routes))]
    public async Task A_route_is_open_to_its_role_only(string route, GridRole role, HttpStatusCode answer)
    {
        foreach (var caller in new[] { GridRole.None, GridRole.Gateway, GridRole.Silo })
        {
            var peer = caller == GridRole.None ? _silo.Stranger() : _silo.Peer(new GridPeer(caller, "peer"));
            using var response = await peer.PostAsync(route);
            var expected = caller == role ? answer : caller == GridRole.None ? HttpStatusCode.Unauthorized : HttpStatusCode.Forbidden;
            Assert.True(expected == response.StatusCode, $"{caller} on {route}: {response.StatusCode}");
        }
    }

    [Fact]
    public async Task The_api_is_not_on_the_grids_port_nor_the_grid_on_the_apis()
    {
        using (var response = await _silo.Peer(new GridPeer(GridRole.Silo, "peer")).PostAsync("/api/v1/login"))
            Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        using var http = new HttpClient { BaseAddress = new Uri(_silo.Host.ApiAddress) };
        using var answer = await http.PostAsync(GridRoutes.Identify, null, TestContext.Current.CancellationToken);
        Assert.NotEqual(HttpStatusCode.OK, answer.StatusCode);
        Assert.NotEqual(HttpStatusCode.BadRequest, answer.StatusCode);
    }

    [Fact]
    public async Task A_certificate_of_another_grid_does_not_get_through_the_handshake()
    {
        using var foreign = GridCertificates.CreateAuthority("other", TimeProvider.System.GetUtcNow(), TimeSpan.FromDays(1));
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var leaf = GridCertificates.Issue(foreign, new GridPeer(GridRole.Gateway, "gw-1"), new PublicKey(key), TimeProvider.System.GetUtcNow(), TimeSpan.FromDays(1));
        var peer = _silo.Track(new TestPeer(_silo.Host.GridAddress, _silo.Authorities.GridCa, TestPeer.WithKey(leaf, key)));
        await Assert.ThrowsAnyAsync<HttpRequestException>(() => peer.PostAsync(GridRoutes.Enroll));
    }

    // L31: the chain is genuine, the name in the leaf is what its maker wished for.
    [Fact]
    public async Task A_leaf_that_a_gateway_signed_does_not_get_through_although_its_chain_holds_a_valid_certificate()
    {
        using var gatewayKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var gateway = _silo.Authorities.IssueGridCertificate(new GridPeer(GridRole.Gateway, "gw-1"), new PublicKey(gatewayKey));
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=silo-9", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddUri(new Uri("relay://grid/silo/silo-9"));
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, true));
        var now = TimeProvider.System.GetUtcNow();
        using var leaf = request.Create(gateway.SubjectName, X509SignatureGenerator.CreateForECDsa(gatewayKey), now, now.AddDays(1), [1]);
        var context = TestPeer.WithKey(leaf, key, gateway);
        Assert.Contains(context.IntermediateCertificates, c => c.RawDataMemory.Span.SequenceEqual(gateway.RawData));
        var peer = _silo.Track(new TestPeer(_silo.Host.GridAddress, _silo.Authorities.GridCa, context));
        await Assert.ThrowsAnyAsync<HttpRequestException>(() => peer.PostAsync(GridRoutes.Enroll));
    }

    // L29: strangers of one address make room for each other; who has shown a certificate is none.
    [Fact]
    public async Task Too_many_strangers_cost_the_oldest_its_place_and_no_gateway_anything()
    {
        await using var silo = await TestSilo.StartAsync();
        Assert.True(IPEndPoint.TryParse(silo.Host.GridAddress, out var address));
        var gateway = silo.Gateway();
        using var control = await gateway.ControlAsync();
        var strangers = new List<Socket>();
        try
        {
            for (var i = 0; i <= GridServer.MaxStrangersPerAddress; i++)
            {
                var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
                strangers.Add(socket);
                await socket.ConnectAsync(address, TestContext.Current.CancellationToken);
            }

            // Those that come at the same time may be counted in another order than they came in.
            Assert.Equal(0, await await Task.WhenAny(strangers[..16].Select(EndOfAsync)));
            Assert.Equal(HttpStatusCode.BadRequest, (await gateway.PostAsync(GridRoutes.Identify)).StatusCode);
            Assert.Equal(HttpStatusCode.BadRequest, (await silo.Gateway("gw-2").PostAsync(GridRoutes.Hello)).StatusCode);
            Assert.False(strangers[^1].Poll(0, SelectMode.SelectRead));
        }
        finally
        {
            strangers.ForEach(s => s.Dispose());
        }

        static async Task<int> EndOfAsync(Socket socket)
        {
            try
            {
                return await socket.ReceiveAsync(new byte[1], TestContext.Current.CancellationToken);
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                return 0;
            }
        }
    }

    [Theory]
    [InlineData("GET / HTTP/1.1\r\nHost: x\r\n\r\n")]
    [InlineData("SSH-2.0-OpenSSH_9.2\r\n")]
    [InlineData("\u0016\u0003\u0001\u00ff\u00ff")]
    [InlineData("")]
    public async Task Garbage_ends_its_own_connection_and_nothing_else(string garbage)
    {
        Assert.True(IPEndPoint.TryParse(_silo.Host.GridAddress, out var address));
        var silent = new List<Socket>();
        try
        {
            for (var i = 0; i < 200; i++)
            {
                var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
                silent.Add(socket);
                await socket.ConnectAsync(address, TestContext.Current.CancellationToken);
                if (garbage.Length > 0)
                    await socket.SendAsync(System.Text.Encoding.Latin1.GetBytes(garbage), TestContext.Current.CancellationToken);
            }

            // L29: a good peer does not wait behind them.
            using var response = await _silo.Gateway().PostAsync(GridRoutes.Hello).WaitAsync(GridServer.HandshakeDeadline, TestContext.Current.CancellationToken);
            Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        }
        finally
        {
            silent.ForEach(s => s.Dispose());
        }
    }

    [Fact]
    public async Task Grain_calls_are_for_silos_only()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var leaf = _silo.Authorities.IssueGridCertificate(new GridPeer(GridRole.Gateway, "gw-1"), new PublicKey(key));
        Assert.True(IPEndPoint.TryParse(_silo.Host.GridAddress, out var address));
        using var tcp = new TcpClient();
        await tcp.ConnectAsync(address, TestContext.Current.CancellationToken);
        await using var tls = new SslStream(tcp.GetStream());
        await tls.AuthenticateAsClientAsync(
            new SslClientAuthenticationOptions
            {
                TargetHost = "grid",
                ApplicationProtocols = [new SslApplicationProtocol(GridRoutes.GrainAlpn)],
                ClientCertificateContext = TestPeer.WithKey(leaf, key),
                RemoteCertificateValidationCallback = (_, certificate, _, _) => GridCertificates.TryReadIdentity(certificate as X509Certificate2, _silo.Authorities.GridCa, TimeProvider.System.GetUtcNow(), out _),
            },
            TestContext.Current.CancellationToken);
        Assert.Equal(GridRoutes.GrainAlpn, tls.NegotiatedApplicationProtocol.ToString());
        var ended = await Record.ExceptionAsync(async () => Assert.Equal(0, await tls.ReadAsync(new byte[1], TestContext.Current.CancellationToken)));
        Assert.True(ended is null or IOException, $"{ended}");
    }

    [Fact]
    public async Task A_message_that_is_too_large_or_not_json_is_refused()
    {
        var gateway = _silo.Gateway();
        using (var response = await gateway.PostAsync(GridRoutes.Identify, new ByteArrayContent(new byte[65 * 1024])))
            Assert.Equal(HttpStatusCode.RequestEntityTooLarge, response.StatusCode);
        using (var response = await gateway.PostAsync(GridRoutes.Identify, new StringContent("{\"public_key\":")))
            Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        using (var response = await gateway.PostAsync(GridRoutes.Identify, new StringContent("{}")))
            Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        using (var response = await gateway.PostAsync(GridRoutes.Identify, new StringContent("null")))
            Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
    }
}
