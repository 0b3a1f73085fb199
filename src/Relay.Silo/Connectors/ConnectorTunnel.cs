using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Relay.Protocol.Tunnel;

namespace Relay.Silo.Connectors;

/// <summary>
/// One attached connector: an HTTP/2 client whose only connection is the one the agent dialled. Safe for concurrent use.
/// Ends by itself when the connection does; <see cref="CloseAsync"/> ends it.
/// </summary>
internal sealed class ConnectorTunnel : IDisposable
{
    // No DNS, no port: the connection is there already.
    private const string BaseAddress = "http://connector";

    private static readonly TimeSpan GoodbyeDeadline = TimeSpan.FromSeconds(1);

    // Nothing waits for it, and without it the agent would stay.
    private static readonly TimeSpan DismissDeadline = TimeSpan.FromSeconds(10);

    private readonly TunnelTransport _transport;
    private readonly HttpMessageInvoker _http;
    private readonly TimeProvider _time;
    private readonly ServingRight _right;
    private readonly Lock _opening = new();
    private int _connected;
    private int _openStreams;
    private int _askingClock;
    private int _pending;
    private TimeSpan _pendingUntil = TimeSpan.MinValue;
    private TimeSpan _lostUntil = TimeSpan.MinValue;
    private volatile bool _draining;
    private long _renewedAt;
    private AgentClock? _agentClock;

    /// <param name="renewedAt">See <see cref="RenewedAt"/>.</param>
    /// <param name="agentClock">What the agent's clock showed; null: it does not tell.</param>
    public ConnectorTunnel(TunnelTransport transport, AdmittedConnector connector, ConnectorLease lease, TimeSpan renewedAt, AgentClock? agentClock, ServingRight right, TimeProvider time)
    {
        _transport = transport;
        _time = time;
        _renewedAt = renewedAt.Ticks;
        _agentClock = agentClock;
        _right = right;
        Connector = connector;
        Lease = lease;
        _http = new HttpMessageInvoker(new SocketsHttpHandler
        {
            ConnectCallback = (_, _) => Interlocked.Exchange(ref _connected, 1) == 0
                ? ValueTask.FromResult<Stream>(_transport)
                : throw new IOException("the connector takes no more streams on this connection"),
            EnableMultipleHttp2Connections = false,
            MaxConnectionsPerServer = 1,
            InitialHttp2StreamWindowSize = TunnelWire.StreamWindowBytes,
            PooledConnectionIdleTimeout = Timeout.InfiniteTimeSpan,
            PooledConnectionLifetime = Timeout.InfiniteTimeSpan,
            KeepAlivePingDelay = TunnelWire.PingInterval,
            KeepAlivePingTimeout = TunnelWire.PingTimeout,
            KeepAlivePingPolicy = HttpKeepAlivePingPolicy.Always,
            MaxResponseHeadersLength = 16,
            AllowAutoRedirect = false,
            AutomaticDecompression = DecompressionMethods.None,
            UseCookies = false,
            UseProxy = false,
            ActivityHeadersPropagator = null,
        });
    }

    public AdmittedConnector Connector { get; }

    public ConnectorLease Lease { get; }

    public long Epoch => Lease.Epoch;

    public int OpenStreams => Volatile.Read(ref _openStreams);

    /// <summary>True: the agent finishes its open streams and takes no more.</summary>
    public bool Draining => _draining;

    /// <summary>Ends when the connection is over.</summary>
    public Task Closed => _transport.Closed;

    /// <summary>When the last renewal was sent that is known to have reached the store, by this silo's <see cref="BootClock"/>.</summary>
    public TimeSpan RenewedAt
    {
        get => TimeSpan.FromTicks(Volatile.Read(ref _renewedAt));
        set => Volatile.Write(ref _renewedAt, value.Ticks);
    }

    /// <summary>When the tunnel must be closed because its lease could end: by our own clock, well before anybody else's.</summary>
    public TimeSpan LeaseEnd => RenewedAt + ConnectorLeaseStore.HardTtl - ConnectorLeaseStore.SafetyMargin;


    /// <summary>Up to when an opening that was sent and not answered may still be taken by the agent, on whatever way it is; in the past when there is none.</summary>
    public TimeSpan DoubtUntil
    {
        get
        {
            lock (_opening) return _pending > 0 && _pendingUntil > _lostUntil ? _pendingUntil : _lostUntil;
        }
    }

    /// <summary>Why <see cref="CloseAsync"/> was called; null: it was not.</summary>
    public string? CloseCode { get; private set; }

    /// <summary>Opens a stream; the agent dials the target before it answers.</summary>
    /// <exception cref="StreamOpenException">It did not, or not in time.</exception>
    public async ValueTask<DuplexStream> OpenAsync(Guid session, StreamTarget target, TimeSpan deadline, CancellationToken cancellationToken)
    {
        if (_draining)
            throw new StreamOpenException(StreamOpenError.NotAttached, "the connector is shutting down");
        // Here, at every opening, and not when a timer gets round to it: this process may have stood still until a moment ago.
        var until = _right.Until;
        if (LeaseEnd < until)
            until = LeaseEnd;
        if (_right.Now > until)
            throw new StreamOpenException(StreamOpenError.NotAttached, "the silo is cut off from the grid, and the connector may be connected elsewhere");
        var request = new HttpRequestMessage(HttpMethod.Post, BaseAddress + TunnelWire.ConnectPath);
        StreamHeaders.Write(request, session, Epoch, target);
        if (Volatile.Read(ref _agentClock) is { } clock)
            request.Headers.TryAddWithoutValidation(TunnelWire.UntilHeader, clock.At(until).ToString(CultureInfo.InvariantCulture));

        lock (_opening)
        {
            if (_draining)
                throw new StreamOpenException(StreamOpenError.NotAttached, "the connector is shutting down");
            _pending++;
            if (until > _pendingUntil)
                _pendingUntil = until;
        }

        // Counted from here on: the load of an opening counts as much as that of an open stream.
        Interlocked.Increment(ref _openStreams);

        try
        {
            var stream = await DuplexHttpStream.OpenAsync(_http, request, deadline, _time, cancellationToken);
            End(until, answered: true);
            stream.Disposed = () => Interlocked.Decrement(ref _openStreams);
            return stream;
        }
        catch (Exception e)
        {
            Interlocked.Decrement(ref _openStreams);
            End(until, answered: e is StreamOpenException { Answered: true });

            // Whatever HTTP says of it: the connection to the agent is over, and where the connector is now others know.
            if (e is StreamOpenException { Error: StreamOpenError.Failed, InnerException: { } lost })
                throw new StreamOpenException(StreamOpenError.NotAttached, "the connection to the connector was lost", lost);
            throw;
        }
    }

    /// <summary>Takes no more openings. Returns what <see cref="DoubtUntil"/> is from here on at most.</summary>
    public TimeSpan Seal()
    {
        lock (_opening) _draining = true;
        return DoubtUntil;
    }

    private void End(TimeSpan until, bool answered)
    {
        lock (_opening)
        {
            if (--_pending == 0)
                _pendingUntil = TimeSpan.MinValue;
            if (!answered && until > _lostUntil)
                _lostUntil = until;
        }
    }

    /// <summary>Has the agent dial a target and hang up.</summary>
    /// <exception cref="StreamOpenException">It did not reach it, or not in time.</exception>
    public async Task CheckAsync(StreamTarget target, TimeSpan deadline, CancellationToken cancellationToken)
    {
        using var request = NewRequest(HttpMethod.Post, TunnelWire.CheckPath);
        request.Headers.TryAddWithoutValidation(TunnelWire.TargetHeader, target.ToString());
        using var late = new CancellationTokenSource(deadline, _time);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellationToken);
        try
        {
            using var response = await _http.SendAsync(request, stop.Token);

            // An agent that cannot check is asked nothing: its streams will tell.
            if (!response.IsSuccessStatusCode && response.StatusCode != HttpStatusCode.NotFound)
                throw DuplexHttpStream.Refusal(response);
        }
        catch (OperationCanceledException e) when (late.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            throw new StreamOpenException(StreamOpenError.TimedOut, string.Create(CultureInfo.InvariantCulture, $"{target.Address} did not answer within {deadline.TotalSeconds:0.#} s"), e);
        }
        catch (Exception e) when (e is HttpRequestException or (IOException and not StreamOpenException) or ObjectDisposedException)
        {
            throw new StreamOpenException(StreamOpenError.Failed, "the connector is gone", e);
        }
    }

    /// <summary>True: the agent answered in time.</summary>
    public async ValueTask<bool> PingAsync(TimeSpan deadline, CancellationToken cancellationToken)
    {
        using var request = NewRequest(HttpMethod.Get, TunnelWire.PingPath);
        using var late = new CancellationTokenSource(deadline, _time);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellationToken);
        try
        {
            using var response = await _http.SendAsync(request, stop.Token);
            if (response.Headers.TryGetValues(TunnelWire.ClockHeader, out var clocks) && long.TryParse(clocks.First(), NumberStyles.None, CultureInfo.InvariantCulture, out var milliseconds))
                Volatile.Write(ref _agentClock, new AgentClock(milliseconds, _right.Now));
            return response.StatusCode == HttpStatusCode.OK;
        }
        catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException or ObjectDisposedException)
        {
            cancellationToken.ThrowIfCancellationRequested();
            return false;
        }
    }

    /// <summary>Asks the agent for its clock when what is known of it is old; does not wait. Clocks drift.</summary>
    public void KeepClock()
    {
        if (Volatile.Read(ref _agentClock) is not { } clock || _right.Now - clock.ReadAt <= TunnelWire.ClockInterval || Interlocked.Exchange(ref _askingClock, 1) != 0)
            return;
        _ = AskAsync();

        async Task AskAsync()
        {
            await PingAsync(TunnelWire.PingTimeout, CancellationToken.None);
            Volatile.Write(ref _askingClock, 0);
        }
    }

    /// <summary>Waits until the agent takes no more streams. True: it drains; false: the connection is over.</summary>
    public async Task<bool> DrainedAsync()
    {
        using var request = NewRequest(HttpMethod.Get, TunnelWire.DrainPath);
        try
        {
            using var response = await _http.SendAsync(request, CancellationToken.None);
            var body = await response.Content.ReadAsStreamAsync(CancellationToken.None);
            var nothing = new byte[1];
            if (response.StatusCode != HttpStatusCode.OK || await body.ReadAsync(nothing) != 0)
            {
                // Not an agent that speaks this protocol.
                _transport.Dispose();
                return false;
            }

            _draining = true;
            return true;
        }
        catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException or ObjectDisposedException)
        {
            _transport.Dispose();
            return false;
        }
    }

    /// <summary>Tells the agent why and closes; open streams are reset. Idempotent, never throws.</summary>
    /// <param name="code">One of <see cref="AttachCodes"/>.</param>
    /// <param name="message">One sentence for the connector's log.</param>
    public async Task CloseAsync(string code, string message)
    {
        CloseCode ??= code;
        _draining = true;
        await SayAsync(new Goodbye(code, message), GoodbyeDeadline);
        _transport.Dispose();
    }

    /// <summary>
    /// Tells the agent to attach elsewhere. Streams are opened here until it has, and says so by ending <see cref="DrainedAsync"/>;
    /// open ones go on. Never throws.
    /// </summary>
    public async Task DismissAsync(string code, string message)
    {
        CloseCode ??= code;
        await SayAsync(new Goodbye(code, message), DismissDeadline);
    }

    /// <summary>Opens the stream of signs of life and announcements; the caller disposes it. Null: the agent is of a version without it, or gone.</summary>
    public async Task<DuplexStream?> OpenControlAsync(CancellationToken cancellationToken)
    {
        using var request = NewRequest(HttpMethod.Post, TunnelWire.ControlPath);
        try
        {
            return await DuplexHttpStream.OpenAsync(_http, request, TunnelWire.OpenDeadline, _time, cancellationToken);
        }
        catch (Exception e) when (e is StreamOpenException or ObjectDisposedException)
        {
            return null;
        }
    }

    public void Dispose()
    {
        _transport.Dispose();
        _http.Dispose();
    }

    private static HttpRequestMessage NewRequest(HttpMethod method, string path) => new(method, BaseAddress + path)
    {
        Version = HttpVersion.Version20,
        VersionPolicy = HttpVersionPolicy.RequestVersionExact,
    };

    private async Task SayAsync(Goodbye goodbye, TimeSpan deadline)
    {
        using var request = NewRequest(HttpMethod.Post, TunnelWire.GoodbyePath);
        request.Content = new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(goodbye, TunnelJson.Default.Goodbye));
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        using var late = new CancellationTokenSource(deadline, _time);
        try
        {
            using var response = await _http.SendAsync(request, late.Token);
        }
        catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException or ObjectDisposedException)
        {
            // It will see the connection close and come back; only the reason is lost.
        }
    }
}

/// <summary>What an agent's clock showed, and when that was here: it showed no less then.</summary>
internal sealed record AgentClock(long Milliseconds, TimeSpan ReadAt)
{
    /// <summary>What it shows, at the least, at one of our moments: with all the drift that two clocks may have.</summary>
    public long At(TimeSpan moment)
    {
        var since = moment - ReadAt;
        return Milliseconds + (long)((since - (since.Duration() * (2 * Fencing.FenceTimes.MaxDrift))).TotalMilliseconds);
    }
}

/// <summary>The headers of a stream opening, on the tunnel and between silos.</summary>
internal static class StreamHeaders
{
    /// <summary>Of a silo's answer to another: see <see cref="Token"/>.</summary>
    public const string TokenHeader = "relay-token-id";

    public static void Write(HttpRequestMessage request, Guid session, long epoch, StreamTarget target)
    {
        request.Headers.TryAddWithoutValidation(TunnelWire.SessionHeader, session.ToString());
        request.Headers.TryAddWithoutValidation(TunnelWire.EpochHeader, epoch.ToString(CultureInfo.InvariantCulture));
        request.Headers.TryAddWithoutValidation(TunnelWire.TargetHeader, target.ToString());
    }

    /// <summary>Between silos: which token opened the tunnel that the stream goes through. Empty: the other silo does not say.</summary>
    public static Guid Token(HttpResponseMessage response) =>
        response.Headers.NonValidated.TryGetValues(TokenHeader, out var values) && Guid.TryParse(values.ToString(), out var token) ? token : Guid.Empty;

    /// <summary>False: a header is missing or not what it should be.</summary>
    public static bool TryRead(HttpRequest request, out Guid session, out long epoch, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out StreamTarget? target)
    {
        epoch = 0;
        target = null;
        return Guid.TryParse(request.Headers[TunnelWire.SessionHeader], out session)
            && long.TryParse(request.Headers[TunnelWire.EpochHeader], NumberStyles.None, CultureInfo.InvariantCulture, out epoch)
            && StreamTarget.TryParse(request.Headers[TunnelWire.TargetHeader], out target);
    }
}
