using Relay.Protocol.Ssh;

namespace Relay.Tests.Protocol.Ssh;

/// <summary>A peer that speaks the real protocol as far as the test lets it and sends whatever it is told.</summary>
internal sealed class ScriptedPeer : IAsyncDisposable
{
    private readonly SshLink _link;
    private readonly Stream _stream;

    public ScriptedPeer(Stream stream, SshRole role, bool strict = true)
    {
        _stream = stream;
        _link = new(stream, new() { Role = role, HostKeys = [TestKeys.Host], OfferStrictKeyExchange = strict }, TimeProvider.System);
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public SshTransport Transport => _link.Transport;

    public SshLink Link => _link;

    /// <summary>Identification and first key exchange.</summary>
    public async Task KeyExchangeAsync()
    {
        _link.Start();
        while (Transport.Phase < SshPhase.Service)
            await StepAsync();
    }

    /// <summary>Client role: logs in with <see cref="TestKeys.User"/>.</summary>
    public async Task LogInAsync()
    {
        await KeyExchangeAsync();
        var auth = new SshClientAuth(Transport, SshPair.ClientOptions);
        lock (_link.Gate)
            auth.Start();
        while (!auth.IsDone)
        {
            var payload = await ReceiveAsync();
            lock (_link.Gate)
                auth.Handle(payload.Span);
        }
    }

    /// <summary>Server role: accepts whoever comes.</summary>
    public async Task AcceptLoginAsync()
    {
        await KeyExchangeAsync();
        await AuthenticateAsync();
    }

    /// <summary>The same when the key exchange is done.</summary>
    public async Task AuthenticateAsync()
    {
        var auth = new SshServerAuth(Transport, 6);
        while (auth.AuthenticatedUser is null)
        {
            var payload = await ReceiveAsync();
            lock (_link.Gate)
            {
                if (auth.Handle(payload.Span) == SshServerAuthStep.Proof)
                    auth.AnswerProof(SshAuthOutcome.Accept());
            }
        }

        _link.Flush();
    }

    /// <summary>Sends a payload, whatever the state of this side is.</summary>
    public void Send(params ReadOnlySpan<byte> payload)
    {
        lock (_link.Gate)
            Transport.Writer.Write(payload);
        _link.Flush();
    }

    public void Send(Action<SshWriter> write)
    {
        using var writer = new SshWriter();
        write(writer);
        Send(writer.WrittenSpan);
    }

    /// <summary>Sends bytes that are no packet.</summary>
    public void SendRaw(ReadOnlySpan<byte> bytes)
    {
        lock (_link.Gate)
            Transport.Writer.WriteRaw(bytes);
        _link.Flush();
    }

    /// <summary>The next payload for authentication or the connection protocol.</summary>
    public ValueTask<ReadOnlyMemory<byte>> ReceiveAsync() => _link.ReceiveAsync(static (_, _) => new(true), Token);

    /// <summary>Reads on until the other side disconnects; returns its reason.</summary>
    public async Task<SshDisconnectReason> DisconnectReasonAsync()
    {
        try
        {
            while (true)
                await ReceiveAsync();
        }
        catch (SshException error) when (error.ByPeer)
        {
            return error.Reason;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _link.EndAsync(null);
        await _stream.DisposeAsync();
    }

    private async Task StepAsync()
    {
        while (true)
        {
            if (!_link.TryRead(out var payload))
            {
                _link.Flush();
                await _link.FillAsync(Token);
                continue;
            }

            lock (_link.Gate)
            {
                if (Transport.Handle(payload.Span, _link.Now) == SshHandled.VerifyHostKey)
                    Transport.AcceptHostKey();
            }

            _link.Flush();
            return;
        }
    }
}
