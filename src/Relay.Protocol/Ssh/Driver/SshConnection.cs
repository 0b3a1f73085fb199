using System.Runtime.CompilerServices;

namespace Relay.Protocol.Ssh;

/// <summary>
/// An authenticated SSH connection of either role over any duplex stream. Safe for concurrent use. Caller disposes,
/// which disconnects; the stream is closed with it.
/// </summary>
public sealed class SshConnection : IAsyncDisposable
{
    private const int UnansweredKeepAlives = 3;
    private static readonly TimeSpan TickPeriod = TimeSpan.FromSeconds(10);
    // What the peer said before it stopped listening (its DISCONNECT, mostly) is already here or never comes.
    private static readonly TimeSpan LastWords = TimeSpan.FromMilliseconds(500);
    private readonly SshLink _link;
    private readonly SshReceiver _receiver;
    private readonly TimeSpan _keepAliveInterval;
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _stopReading = new();
    private readonly CancellationTokenSource _closed = new();
    private readonly ITimer _timer;
    private ITimer? _lastWords;
    private Exception? _sendError;
    private SshException? _end;
    private bool _farewellByUs;
    private ulong _packetsAtLastTick;
    private TimeSpan _heardAt;
    private int _keepAlives;

    internal SshConnection(SshLink link, SshConnectionSettings settings)
    {
        _link = link;
        _keepAliveInterval = settings.KeepAliveInterval;
        User = settings.User;
        PeerBanner = settings.PeerBanner;
        HostKey = link.Transport.OfferedHostKey;
        PeerVersion = link.Transport.PeerVersion;
        Closed = _closed.Token;
        _receiver = new(this, link, settings.MaxChannels);
        _link.Drained = _receiver.WakeWriters;
        _link.SendFailed = error => HearOut(error, settings.TimeProvider);
        _heardAt = link.Now;
        var period = _keepAliveInterval > TimeSpan.Zero && _keepAliveInterval < TickPeriod ? _keepAliveInterval : TickPeriod;
        _timer = settings.TimeProvider.CreateTimer(static state => ((SshConnection)state!).Tick(), this, period, period);
        _ = RunAsync();
    }

    /// <summary>The peer's identification string, RFC 4253 §4.2, without CR LF.</summary>
    public string PeerVersion { get; }

    /// <summary>Result of the latest key exchange.</summary>
    public SshAlgorithms Algorithms => _link.Transport.Algorithms!;

    /// <summary>Server: the login name of the authenticated request. Client: null.</summary>
    public string? User { get; }

    /// <summary>Client: the banner the server sent before authentication, empty when none. Server: empty.</summary>
    public string PeerBanner { get; }

    /// <summary>Client: the server's key that was accepted. Server: null.</summary>
    public SshHostKey? HostKey { get; }

    /// <summary>Ends, and never faults, when the connection is over and its stream closed.</summary>
    public Task Completion => _completion.Task;

    /// <summary>Why the connection ended; null while it lives and after an orderly end (BY_APPLICATION from either side).</summary>
    public SshException? Error => _end is { Reason: not SshDisconnectReason.ByApplication } error ? error : null;

    /// <summary>How the connection ended, in order or not; null while it lives. There when its channels read as closed.</summary>
    public SshException? Ending => _end;

    /// <summary>
    /// After the end: true when it came in the middle of something, that is without a DISCONNECT of either side, and the
    /// peer had fallen silent or a channel was open that neither side had closed and whose program had not exited. A
    /// client that closes its channels and then the stream has left in order.
    /// </summary>
    public bool IsCut { get; private set; }

    /// <summary>Cancelled when the connection is over.</summary>
    public CancellationToken Closed { get; }

    /// <summary>Key exchanges finished, the first included. For tests and metrics.</summary>
    internal int KeyExchanges => _link.Transport.KeyExchanges;

    internal int ChannelCount => _receiver.ChannelCount;

    /// <summary>
    /// Serves a client: identification, key exchange and authentication; returns once the user is authenticated. The
    /// stream is closed when this throws.
    /// </summary>
    /// <exception cref="SshException">The client was refused, broke the protocol, left, or took longer than the login grace time.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public static ValueTask<SshConnection> AcceptAsync(
        Stream transport,
        SshServerOptions options,
        ISshServerAuthenticator authenticator,
        CancellationToken cancellationToken = default)
        => SshHandshake.AcceptAsync(transport, options, authenticator, cancellationToken);

    /// <summary>Logs in to a server; returns once authenticated. The stream is closed when this throws.</summary>
    /// <exception cref="SshException">The host key or the login was refused, the server broke the protocol, left, or took longer than the handshake timeout.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public static ValueTask<SshConnection> ConnectAsync(Stream transport, SshClientOptions options, CancellationToken cancellationToken = default)
        => SshHandshake.ConnectAsync(transport, options, cancellationToken);

    /// <summary>Opens a channel, RFC 4254 §5.1.</summary>
    /// <exception cref="SshChannelOpenException">The peer refused.</exception>
    /// <exception cref="SshException">The connection ended.</exception>
    public async ValueTask<SshChannel> OpenChannelAsync(string channelType, ReadOnlyMemory<byte> typeData = default, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        SshChannel channel;
        Task opened;
        lock (_link.Gate)
            (channel, opened) = _receiver.BeginOpen(channelType, typeData.Span);
        _link.Flush();
        try
        {
            await opened.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // The peer may still confirm: then the channel is closed at once.
            _ = CloseWhenOpenedAsync(channel, opened);
            throw;
        }

        return channel;
    }

    /// <summary>
    /// Channel opens and global requests of the peer, in order; ends with the connection. One reader. What is not taken
    /// in time is refused by the connection itself: 64 may wait.
    /// </summary>
    public async IAsyncEnumerable<SshIncoming> IncomingAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        while (await _receiver.Incoming.WaitToReadAsync(cancellationToken).ConfigureAwait(false))
        {
            while (_receiver.Incoming.TryRead(out var incoming))
                yield return incoming;
        }
    }

    /// <summary>Sends a global request, RFC 4254 §4. Without <paramref name="wantReply"/> returns success at once.</summary>
    /// <exception cref="SshException">The connection ended, or did before the answer came.</exception>
    public async ValueTask<(bool Success, ReadOnlyMemory<byte> Data)> SendGlobalRequestAsync(
        string type,
        bool wantReply,
        ReadOnlyMemory<byte> data = default,
        CancellationToken cancellationToken = default)
    {
        Task<(bool Success, ReadOnlyMemory<byte> Data)>? answer;
        lock (_link.Gate)
        {
            if (_end is not null)
                throw EndedError();
            answer = _receiver.Requests.Ask(type, wantReply, data.Span);
        }

        _link.Flush();
        return answer is null ? (true, default) : await answer.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Sends SSH_MSG_DISCONNECT and closes; a peer that does not read cannot hold it up. Returns when the stream is closed.</summary>
    public async ValueTask DisconnectAsync(SshDisconnectReason reason, string message)
    {
        Stop(new(reason, message), byUs: true);
        await Completion.ConfigureAwait(false);
    }

    /// <summary>Disconnects (BY_APPLICATION) if that has not happened yet.</summary>
    public ValueTask DisposeAsync() => DisconnectAsync(SshDisconnectReason.ByApplication, "Closed.");

    /// <summary>Starts a key exchange now. For tests.</summary>
    internal void Rekey()
    {
        lock (_link.Gate)
            _link.Transport.Rekey(_link.Now);
        _link.Flush();
    }

    /// <summary>The error for whoever still wants something of an ended connection.</summary>
    internal SshException EndedError() => new(_end?.Reason ?? SshDisconnectReason.ConnectionLost, _end?.Message ?? "The connection ended.", _end?.ByPeer ?? false);

    internal void OnWriterBlocked(SshChannel channel) => _receiver.AddBlocked(channel);

    private static async Task CloseWhenOpenedAsync(SshChannel channel, Task opened)
    {
        try
        {
            await opened.ConfigureAwait(false);
            await channel.DisposeAsync().ConfigureAwait(false);
        }
        catch (IOException)
        {
            // Refused, or the connection ended: there is nothing to close.
        }
    }

    // Runs until the connection is over; never faults.
    private async Task RunAsync()
    {
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        try
        {
            while (true)
            {
                Drain();
                _link.Flush();
                await _link.FillAsync(_stopReading.Token).ConfigureAwait(false);
            }
        }
        catch (SshException error)
        {
            Stop(error, byUs: !error.ByPeer && error.Reason != SshDisconnectReason.ConnectionLost);
        }
        catch (Exception error)
        {
            // One connection's fault, whatever it is, ends that connection and nothing else (L14).
            Stop(SshException.Lost("The connection was lost.", _sendError ?? error), byUs: false);
        }

        await EndAsync().ConfigureAwait(false);
    }

    private void Drain()
    {
        while (_link.TryRead(out var payload))
        {
            lock (_link.Gate)
            {
                if (_link.Transport.Handle(payload.Span, _link.Now) == SshHandled.Upper)
                    _receiver.Dispatch(payload.Span);
            }
        }

        lock (_link.Gate)
        {
            _link.Transport.Tick(_link.Now);
            _receiver.WakeReaders();
            _receiver.WakeWriters();
        }
    }

    // Nothing can be sent any more. Whoever left has often said so just before: read that first.
    private void HearOut(Exception error, TimeProvider time)
    {
        lock (_link.Gate)
        {
            if (_end is not null)
                return;
            _sendError ??= error;
            _lastWords ??= time.CreateTimer(
                static state => ((SshConnection)state!).Stop(SshException.Lost("The connection was lost.", ((SshConnection)state)._sendError), byUs: false),
                this, LastWords, Timeout.InfiniteTimeSpan);
        }
    }

    private void Stop(SshException error, bool byUs)
    {
        lock (_link.Gate)
        {
            if (_end is not null)
                return;
            _end = error;
            _farewellByUs = byUs;
            IsCut = error is { Reason: SshDisconnectReason.ConnectionLost, ByPeer: false } && (byUs || _receiver.IsBusy);
            _receiver.End();
        }

        _stopReading.Cancel();
    }

    private async Task EndAsync()
    {
        await _timer.DisposeAsync().ConfigureAwait(false);
        if (_lastWords is { } timer)
            await timer.DisposeAsync().ConfigureAwait(false);
        await _link.EndAsync(_farewellByUs ? _end : null).ConfigureAwait(false);
        try
        {
            await _closed.CancelAsync().ConfigureAwait(false);
        }
        catch (AggregateException)
        {
            // A callback of the application failed; it is not the connection's error.
        }

        _completion.TrySetResult();
    }

    private void Tick()
    {
        try
        {
            lock (_link.Gate)
            {
                if (_end is not null)
                    return;
                var now = _link.Now;
                _link.Transport.Tick(now);
                KeepAlive(now);
                _receiver.WakeAllWriters();
            }
        }
        catch (SshException error)
        {
            Stop(error, byUs: true);
            return;
        }

        _link.Flush();
    }

    private void KeepAlive(TimeSpan now)
    {
        if (_keepAliveInterval <= TimeSpan.Zero)
            return;
        var packets = _link.Transport.PacketsReceived;
        if (packets != _packetsAtLastTick)
        {
            _packetsAtLastTick = packets;
            _heardAt = now;
            _keepAlives = 0;
        }
        else if (now - _heardAt >= _keepAliveInterval * (_keepAlives + 1))
        {
            if (++_keepAlives > UnansweredKeepAlives)
                throw SshException.Lost("The peer gives no sign of life.");
            _receiver.Requests.AskKeepAlive();
        }
    }
}
