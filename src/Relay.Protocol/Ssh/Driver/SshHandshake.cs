namespace Relay.Protocol.Ssh;

/// <summary>Drives a link from its first byte to the authenticated connection, under one deadline.</summary>
internal static class SshHandshake
{
    public static async ValueTask<SshConnection> AcceptAsync(
        Stream stream,
        SshServerOptions options,
        ISshServerAuthenticator authenticator,
        CancellationToken cancellationToken)
    {
        var link = new SshLink(stream, ServerTransport(options), options.TimeProvider);
        return await RunAsync(
            link,
            options.LoginGraceTime,
            options.TimeProvider,
            async token =>
            {
                var user = await AuthenticateAsync(link, options, authenticator, token).ConfigureAwait(false);
                return new(user, "", options.MaxChannels, options.KeepAliveInterval, options.TimeProvider);
            },
            cancellationToken).ConfigureAwait(false);
    }

    public static async ValueTask<SshConnection> ConnectAsync(Stream stream, SshClientOptions options, CancellationToken cancellationToken)
    {
        var link = new SshLink(stream, ClientTransport(options), options.TimeProvider);
        return await RunAsync(
            link,
            options.HandshakeTimeout,
            options.TimeProvider,
            async token =>
            {
                var banner = await LogInAsync(link, options, token).ConfigureAwait(false);
                return new(null, banner, options.MaxChannels, options.KeepAliveInterval, options.TimeProvider);
            },
            cancellationToken).ConfigureAwait(false);
    }

    // L18: the deadline does nothing but cancel a token; all work stays on this flow.
    private static async ValueTask<SshConnection> RunAsync(
        SshLink link,
        TimeSpan limit,
        TimeProvider time,
        Func<CancellationToken, Task<SshConnectionSettings>> authenticate,
        CancellationToken cancellationToken)
    {
        using var deadline = new CancellationTokenSource(limit, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, cancellationToken);
        link.SendFailed = _ => deadline.Cancel();
        SshException failure;
        try
        {
            link.Start();
            return new(link, await authenticate(both.Token).ConfigureAwait(false));
        }
        catch (SshException error)
        {
            failure = error;
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            await link.EndAsync(new(SshDisconnectReason.ByApplication, "Closed.")).ConfigureAwait(false);
            throw;
        }
        catch (OperationCanceledException)
        {
            failure = new(SshDisconnectReason.ByApplication, "The login took too long.");
        }
        catch (Exception error)
        {
            failure = SshException.Lost("The connection was lost.", error);
        }

        var say = !failure.ByPeer && failure.Reason != SshDisconnectReason.ConnectionLost;
        await link.EndAsync(say ? failure : null).ConfigureAwait(false);
        throw failure;
    }

    private static async Task<string> AuthenticateAsync(SshLink link, SshServerOptions options, ISshServerAuthenticator authenticator, CancellationToken token)
    {
        var auth = new SshServerAuth(link.Transport, options.MaxAuthAttempts, options.AsksAboutNone);
        while (auth.AuthenticatedUser is null)
        {
            var payload = await link.ReceiveAsync(null, token).ConfigureAwait(false);
            SshServerAuthStep step;
            lock (link.Gate)
                step = auth.Handle(payload.Span);
            switch (step)
            {
                case SshServerAuthStep.Query:
                    var acceptable = await authenticator.IsAcceptableAsync(auth.Pending!, token).ConfigureAwait(false);
                    lock (link.Gate)
                        auth.AnswerQuery(acceptable);
                    break;
                case SshServerAuthStep.Proof:
                    var outcome = await authenticator.AuthenticateAsync(auth.Pending!, token).ConfigureAwait(false);
                    lock (link.Gate)
                        auth.AnswerProof(outcome);
                    break;
            }
        }

        link.Flush();
        return auth.AuthenticatedUser;
    }

    private static async Task<string> LogInAsync(SshLink link, SshClientOptions options, CancellationToken token)
    {
        var auth = new SshClientAuth(link.Transport, options);
        lock (link.Gate)
            auth.Start();
        while (!auth.IsDone)
        {
            var payload = await link.ReceiveAsync(options.VerifyHostKey, token).ConfigureAwait(false);
            lock (link.Gate)
                auth.Handle(payload.Span);
        }

        return auth.Banner;
    }

    private static SshTransportOptions ServerTransport(SshServerOptions options)
    {
        if (options.HostKeys.Count == 0)
            throw new ArgumentException("A server needs a host key.", nameof(options));
        return new()
        {
            Role = SshRole.Server,
            SoftwareVersion = options.SoftwareVersion,
            HostKeys = options.HostKeys,
            Ciphers = options.Ciphers ?? SshAlgorithmNames.Ciphers,
            KeyExchanges = options.KeyExchanges ?? SshAlgorithmNames.KeyExchanges,
            RekeyBytes = options.RekeyBytes,
            RekeyInterval = options.RekeyInterval,
        };
    }

    private static SshTransportOptions ClientTransport(SshClientOptions options) => new()
    {
        Role = SshRole.Client,
        SoftwareVersion = options.SoftwareVersion,
        HostKeyAlgorithms = options.HostKeyAlgorithms ?? SshAlgorithmNames.HostKeys,
        Ciphers = options.Ciphers ?? SshAlgorithmNames.Ciphers,
        KeyExchanges = options.KeyExchanges ?? SshAlgorithmNames.KeyExchanges,
        RekeyBytes = options.RekeyBytes,
        RekeyInterval = options.RekeyInterval,
    };
}
