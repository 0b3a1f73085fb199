using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Relay.Protocol.Tunnel;

namespace Relay.Tests.Protocol.Tunnel;

public sealed class TlsSocketStreamTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Bytes_arrive_as_sent_whatever_the_sizes_of_writes_and_reads()
    {
        var (client, server) = await PairAsync();
        await using var a = client;
        await using var b = server;
        // Below, at and above a record, and many records at once: single, held and coalesced writes in turn.
        int[] sizes = [1, 5, 16 * 1024, 16 * 1024 + 1, 100_000, 1, 500_000, 33, 64 * 1024];
        var data = RandomNumberGenerator.GetBytes(sizes.Sum());
        var up = Task.WhenAll(SendAsync(a, data, sizes), ExpectAsync(b, data, 777));
        var down = Task.WhenAll(SendAsync(b, data, sizes), ExpectAsync(a, data, 40_000));
        await Task.WhenAll(up, down);
    }

    [Fact]
    public async Task A_pause_after_much_data_holds_nothing_back()
    {
        var (client, server) = await PairAsync();
        await using var a = client;
        await using var b = server;
        for (var round = 0; round < 3; round++)
        {
            await a.WriteAsync(new byte[300_000], Cancel);
            await b.ReadExactlyAsync(new byte[300_000], Cancel);
            await a.WriteAsync(new byte[] { (byte)round }, Cancel);
            var one = new byte[1];
            await b.ReadExactlyAsync(one, Cancel);
            Assert.Equal(round, one[0]);
        }
    }

    [Fact]
    public async Task The_suite_is_AES_128()
    {
        var (client, server) = await PairAsync();
        await using var a = client;
        await using var b = server;
        Assert.Equal(TlsCipherSuite.TLS_AES_128_GCM_SHA256, a.NegotiatedCipherSuite);
    }

    [Fact]
    public async Task The_peers_reset_is_an_IOException()
    {
        var (client, server) = await PairAsync();
        await using var a = client;
        await server.DisposeAsync();
        await Assert.ThrowsAnyAsync<IOException>(async () =>
        {
            // The first write may still be taken by the system.
            while (true)
                await a.WriteAsync(new byte[100_000], Cancel);
        });
    }

    [Fact]
    public async Task Held_writes_go_out_as_one()
    {
        var (here, there) = await SocketsAsync();
        using var receiver = there;
        await using var records = new RecordBuffer(here);
        records.Hold();
        await records.WriteAsync(new byte[] { 1, 2 }, Cancel);
        await records.WriteAsync(new byte[] { 3 }, Cancel);
        Assert.Equal(0, receiver.Available);
        await records.SendHeldAsync(Cancel);
        var got = new byte[16];
        Assert.Equal(3, await receiver.ReceiveAsync(got, Cancel));
        Assert.Equal([1, 2, 3], got[..3]);
        await records.WriteAsync(new byte[] { 4 }, Cancel);
        Assert.Equal(1, await receiver.ReceiveAsync(got, Cancel));
    }

    private static async Task SendAsync(TlsSocketStream stream, byte[] data, int[] sizes)
    {
        var at = 0;
        foreach (var size in sizes)
        {
            await stream.WriteAsync(data.AsMemory(at, size), Cancel);
            at += size;
        }
    }

    private static async Task ExpectAsync(TlsSocketStream stream, byte[] data, int piece)
    {
        var got = new byte[data.Length];
        for (var at = 0; at < got.Length;)
        {
            var read = await stream.ReadAsync(got.AsMemory(at, Math.Min(piece, got.Length - at)), Cancel);
            Assert.NotEqual(0, read);
            at += read;
        }

        Assert.True(data.AsSpan().SequenceEqual(got));
    }

    private static async Task<(Socket Here, Socket There)> SocketsAsync()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var here = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        var accepting = listener.AcceptSocketAsync(Cancel);
        await here.ConnectAsync(listener.LocalEndpoint, Cancel);
        return (here, await accepting);
    }

    private static async Task<(TlsSocketStream Client, TlsSocketStream Server)> PairAsync()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var now = TimeProvider.System.GetUtcNow();
        var certificate = new CertificateRequest("CN=test", key, HashAlgorithmName.SHA256).CreateSelfSigned(now.AddHours(-1), now.AddHours(1));
        var (here, there) = await SocketsAsync();
        var client = new TlsSocketStream(here);
        var server = new TlsSocketStream(there);
        await Task.WhenAll(
            server.AuthenticateAsServerAsync(
                new SslServerAuthenticationOptions
                {
                    ServerCertificate = certificate,
                    EnabledSslProtocols = SslProtocols.Tls13,
                    CipherSuitesPolicy = TlsSocketStream.Suites,
                },
                Cancel),
            client.AuthenticateAsClientAsync(
                new SslClientAuthenticationOptions
                {
                    TargetHost = "test",
                    EnabledSslProtocols = SslProtocols.Tls13,
                    CipherSuitesPolicy = TlsSocketStream.Suites,
                    RemoteCertificateValidationCallback = (_, leaf, _, _) => leaf!.GetCertHashString() == certificate.GetCertHashString(),
                },
                Cancel));
        return (client, server);
    }
}
