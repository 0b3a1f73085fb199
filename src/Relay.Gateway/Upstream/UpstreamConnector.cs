using Relay.Gateway.Access;
using Relay.Gateway.Sessions;
using Relay.Protocol.Ssh;

namespace Relay.Gateway.Upstream;

/// <summary>Reaches a session's target through silo and connector, and logs in with what the silo gave for this session.</summary>
/// <param name="timeout">For all of it: stream, host key, login.</param>
/// <param name="keepAlive">How often a silent target is asked for a sign of life; zero: never.</param>
internal sealed class UpstreamConnector(TimeSpan timeout, TimeSpan keepAlive, TimeProvider time)
{
    /// <exception cref="UpstreamFailedException">Names the hop and the cause.</exception>
    public async Task<UpstreamConnection> ConnectAsync(GatewaySession session, CancellationToken cancellationToken)
    {
        using var deadline = new CancellationTokenSource(timeout, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, deadline.Token);
        try
        {
            var stream = await TargetStream.OpenAsync(session, both.Token);
            return await LogInAsync(session, stream, both.Token);
        }
        catch (OperationCanceledException e) when (deadline.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            throw Failed(UpstreamFailure.TimedOut, $"{session.Upstream.Target} did not answer within {timeout.TotalSeconds:0} s.", e);
        }
    }

    private async Task<UpstreamConnection> LogInAsync(GatewaySession session, Stream stream, CancellationToken cancellationToken)
    {
        var upstream = session.Upstream;
        var hostKeys = new HostKeyVerifier(session);
        using var key = ReadKey(upstream.PrivateKey, upstream.Target);
        SshCertificate? certificate = null;
        if (upstream.Certificate is not null && !SshCertificate.TryParseLine(upstream.Certificate, out certificate, out _, out var error))
        {
            await stream.DisposeAsync();
            throw Failed(UpstreamFailure.Authentication, $"The certificate for {upstream.Target} could not be read: {error}");
        }

        try
        {
            var connection = await SshConnection.ConnectAsync(
                stream,
                new SshClientOptions
                {
                    User = upstream.Username,
                    Key = key,
                    Certificate = certificate,
                    Password = upstream.Password,
                    VerifyHostKey = hostKeys.VerifyAsync,
                    HostKeyAlgorithms = hostKeys.Algorithms,
                    HandshakeTimeout = timeout,
                    KeepAliveInterval = keepAlive,
                    TimeProvider = time,
                },
                cancellationToken);
            return new UpstreamConnection(connection, session.Id);
        }
        catch (SshException e)
        {
            await stream.DisposeAsync();
            throw Explain(session, hostKeys, e);
        }
        catch (IOException e)
        {
            await stream.DisposeAsync();
            throw Failed(UpstreamFailure.Handshake, $"The connection to {upstream.Target} was lost during the SSH handshake: {e.Message}", e);
        }
    }

    private static SshPrivateKey? ReadKey(string? pem, string target)
    {
        if (pem is null)
        {
            return null;
        }

        return SshPrivateKey.TryImport(pem, out var key, out var error)
            ? key
            : throw Failed(UpstreamFailure.Authentication, $"The private key stored for {target} could not be read: {error}");
    }

    private static UpstreamFailedException Explain(GatewaySession session, HostKeyVerifier hostKeys, SshException e)
    {
        var upstream = session.Upstream;
        if (hostKeys.Refusal is { } refusal)
        {
            return Failed(UpstreamFailure.HostKey, $"{upstream.Target} was not trusted: {refusal}.", e);
        }

        if (e.Reason is SshDisconnectReason.NoMoreAuthMethodsAvailable or SshDisconnectReason.AuthCancelledByUser)
        {
            return Failed(UpstreamFailure.Authentication, RefusedCredential(session), e);
        }

        var who = e.ByPeer ? $"{upstream.Target} ended the SSH handshake" : $"The SSH handshake with {upstream.Target} failed";
        return Failed(UpstreamFailure.Handshake, $"{who}: {e.Message}", e);
    }

    private static string RefusedCredential(GatewaySession session)
    {
        var upstream = session.Upstream;
        if (upstream.Certificate is not null)
        {
            return $"The sshd at {upstream.Target} refused the certificate for user \"{upstream.Username}\". Check there: the user exists; "
                + "TrustedUserCAKeys names a file with the organization's SSH CA (relay org ssh-ca); "
                + "AuthorizedPrincipalsFile names a file with the line relay_ssh_signed; the clock is right.";
        }

        return upstream.PrivateKey is not null
            ? $"The sshd at {upstream.Target} refused the stored private key for user \"{upstream.Username}\". Check there: the user exists; its authorized_keys holds the public key."
            : $"The sshd at {upstream.Target} refused the stored password for user \"{upstream.Username}\". Check there: the user exists; PasswordAuthentication is on; the password is current.";
    }

    private static UpstreamFailedException Failed(UpstreamFailure failure, string message, Exception? inner = null) => new(failure, UserText.Clean(message), inner);
}
