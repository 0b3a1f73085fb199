using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Relay.Connector.Configuration;
using Relay.Protocol.Grid;
using Relay.Protocol.Tunnel;

namespace Relay.Connector.Tunnel;

/// <summary>A TLS connection to a silo of the token's grid. Caller disposes the stream.</summary>
internal sealed record DialledSilo(string Server, GridPeer Silo, SslStream Stream, System.Net.EndPoint? Remote);

/// <summary>The server is a grid, but not the one the token is for.</summary>
internal sealed class ForeignGridException(string server) : IOException($"the token is for another grid than the one that answers at {server}");

/// <summary>Dials silos: TCP, TLS 1.3, and the certificate must come from the CA the token pins. Safe for concurrent use.</summary>
internal sealed class SiloDialler
{
    private readonly string _pin;
    private readonly TimeSpan _deadline;
    private readonly TimeProvider _time;

    /// <param name="pin">Hex SHA-256 of the grid CA's public key.</param>
    /// <param name="deadline">For TCP and TLS together.</param>
    public SiloDialler(string pin, TimeSpan deadline, TimeProvider time)
    {
        _pin = pin;
        _deadline = deadline;
        _time = time;
    }

    /// <summary>
    /// Dials the servers in order, each a little after the one before it or as soon as that has failed, and keeps the first that
    /// completes TCP and TLS. Without stagger that is the one with the lowest round trip, measured now; with it the first that lives.
    /// The others are closed before a byte of ours is sent.
    /// </summary>
    /// <param name="servers">Best first.</param>
    /// <param name="stagger">The start each has over the next.</param>
    /// <exception cref="ForeignGridException">Every server that answered belongs to another grid.</exception>
    /// <exception cref="IOException">None was reached; the message says why for each.</exception>
    public async Task<DialledSilo> DialNearestAsync(IReadOnlyList<string> servers, TimeSpan stagger, CancellationToken cancellationToken)
    {
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var attempts = new List<Task<DialledSilo>>();
        var failures = new List<Exception>();
        var next = 0;
        var pause = Task.CompletedTask;
        while (next < servers.Count || attempts.Count > 0)
        {
            if (next < servers.Count && (attempts.Count == 0 || pause.IsCompleted))
            {
                attempts.Add(DialAsync(servers[next++], enough.Token));
                pause = stagger > TimeSpan.Zero ? Task.Delay(stagger, _time, enough.Token) : Task.CompletedTask;
                continue;
            }

            var done = await Task.WhenAny(next < servers.Count ? [.. attempts, pause] : attempts);
            if (done is not Task<DialledSilo> attempt)
            {
                cancellationToken.ThrowIfCancellationRequested();
                continue;
            }

            attempts.Remove(attempt);
            try
            {
                var nearest = await attempt;
                await enough.CancelAsync();
                foreach (var late in attempts)
                    _ = CloseLateAsync(late);
                return nearest;
            }
            catch (Exception e) when (e is IOException or OperationCanceledException)
            {
                failures.Add(e);
                pause = Task.CompletedTask;
            }
        }

        cancellationToken.ThrowIfCancellationRequested();
        if (failures.Count > 0 && failures.All(f => f is ForeignGridException))
            throw failures[0];
        throw new IOException(string.Join("; ", failures.Select(f => f.Message)));
    }

    /// <exception cref="IOException">Not reached, or not a silo of the token's grid.</exception>
    public async Task<DialledSilo> DialAsync(string server, CancellationToken cancellationToken)
    {
        if (!ServerAddress.TryParse(server, out var host, out var port))
            throw new IOException($"'{server}' is not a server's address");
        using var late = new CancellationTokenSource(_deadline, _time);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellationToken);
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        SslStream? tls = null;
        var peer = default(GridPeer);
        var foreign = false;
        try
        {
            await socket.ConnectAsync(host, port, stop.Token);
            tls = new TlsSocketStream(socket);
            await tls.AuthenticateAsClientAsync(
                new SslClientAuthenticationOptions
                {
                    TargetHost = host,
                    EnabledSslProtocols = SslProtocols.Tls13,
                    CipherSuitesPolicy = TlsSocketStream.Suites,
                    ApplicationProtocols = [new SslApplicationProtocol(AttachPreamble.Alpn)],
                    CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
                    RemoteCertificateValidationCallback = (_, certificate, _, _) => IsOurs(certificate as X509Certificate2, out peer, out foreign),
                },
                stop.Token);
            return new DialledSilo(server, peer, tls, socket.RemoteEndPoint);
        }
        catch (Exception e)
        {
            if (tls is not null)
                await tls.DisposeAsync();
            socket.Dispose();
            if (foreign)
                throw new ForeignGridException(server);
            throw e switch
            {
                OperationCanceledException when cancellationToken.IsCancellationRequested => e,
                OperationCanceledException => new IOException($"{server} did not answer in time", e),
                AuthenticationException => new IOException($"{server} is not a relay connector server: {e.Message}", e),
                _ => new IOException($"{server}: {e.Message}", e),
            };
        }
    }

    private bool IsOurs(X509Certificate2? leaf, out GridPeer peer, out bool foreign)
    {
        peer = default;
        foreign = false;
        if (!GridCertificates.TryReadPinnedAuthority(leaf, _pin, out var ca))
        {
            foreign = true;
            return false;
        }

        using (ca)
            return GridCertificates.TryReadIdentity(leaf, ca, _time.GetUtcNow(), out peer) && peer.Role == GridRole.Silo;
    }

    private static async Task CloseLateAsync(Task<DialledSilo> attempt)
    {
        try
        {
            await using var stream = (await attempt).Stream;
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            // It lost the race and then failed as well: nothing is left to close.
        }
    }
}
