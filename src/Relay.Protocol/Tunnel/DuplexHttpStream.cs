using System.Net;
using System.Runtime.CompilerServices;

namespace Relay.Protocol.Tunnel;

/// <summary>
/// The client's end of a duplex HTTP/2 request: writes go into the request body, reads come from the response body.
/// END_STREAM is the half-close, RST_STREAM the abort. Works over any <see cref="HttpMessageInvoker"/> that speaks HTTP/2.
/// Caller disposes.
/// </summary>
public sealed class DuplexHttpStream : DuplexStream
{
    private readonly DuplexContent _content;
    private readonly CancellationTokenSource _stop;
    private readonly CancellationTokenSource _aborted = new();
    private readonly Stream _request;
    private readonly Stream _response;
    private readonly HttpResponseMessage _message;
    private string? _abortReason;
    private int _writesDone;
    private volatile bool _readsDone;
    private volatile bool _writesRefused;
    private volatile bool _wasLost;

    private DuplexHttpStream(DuplexContent content, CancellationTokenSource stop, Stream request, HttpResponseMessage message, Stream response)
    {
        _content = content;
        _stop = stop;
        _request = request;
        _message = message;
        _response = response;
        content.OnWritesRefused(RefuseWrites);
    }

    /// <inheritdoc/>
    public override CancellationToken Aborted => _aborted.Token;

    /// <summary>The response's status line and headers.</summary>
    public HttpResponseMessage Response => _message;

    /// <summary>True once a read has failed with the connection, not because the server reset the stream.</summary>
    public bool WasLost => _wasLost;

    /// <summary>Called once when the stream is disposed, on the disposing thread; several may be added. Null: nobody counts.</summary>
    public Action? Disposed { get; set; }

    /// <summary>Sends the request's headers and waits for the response's; both bodies stay open.</summary>
    /// <param name="http">HTTP/2 client.</param>
    /// <param name="request">Method, address and headers; its content is set here. Version 2.0 is demanded.</param>
    /// <param name="deadline">For the response's headers.</param>
    /// <param name="time">Measures <paramref name="deadline"/>.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="StreamOpenException">Answered with something else than 200 (reason and sentence from the relay-error headers), not in time, or the connection failed.</exception>
    public static async ValueTask<DuplexHttpStream> OpenAsync(HttpMessageInvoker http, HttpRequestMessage request, TimeSpan deadline, TimeProvider time, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(http);
        ArgumentNullException.ThrowIfNull(request);
        var stop = new CancellationTokenSource();
        var content = new DuplexContent();
        request.Content = content;
        request.Version = HttpVersion.Version20;
        request.VersionPolicy = HttpVersionPolicy.RequestVersionExact;
        HttpResponseMessage? response = null;
        var opened = false;
        using var late = new CancellationTokenSource(deadline, time);
        try
        {
            // The token of SendAsync stays with the request body for its whole life, so it must be ours and not the deadline's.
            using (late.Token.UnsafeRegister(static s => ((CancellationTokenSource)s!).Cancel(), stop))
            using (cancellationToken.UnsafeRegister(static s => ((CancellationTokenSource)s!).Cancel(), stop))
            {
                // An HttpClient would by itself read the whole body first, and wait for ever.
                response = await (http is HttpClient client
                    ? client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, stop.Token)
                    : http.SendAsync(request, stop.Token)).ConfigureAwait(false);
                if (response.StatusCode != HttpStatusCode.OK)
                {
                    throw Refusal(response);
                }

                // The body writer starts beside the wait for headers; a server may answer before it has run.
                var body = await content.Started.WaitAsync(stop.Token).ConfigureAwait(false);
                var incoming = await response.Content.ReadAsStreamAsync(stop.Token).ConfigureAwait(false);
                opened = true;
                return new DuplexHttpStream(content, stop, body, response, incoming);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or HttpRequestException or ObjectDisposedException or (IOException and not StreamOpenException))
        {
            cancellationToken.ThrowIfCancellationRequested();
            throw late.IsCancellationRequested
                ? new StreamOpenException(StreamOpenError.TimedOut, string.Create(System.Globalization.CultureInfo.InvariantCulture, $"no answer within {deadline.TotalSeconds:0.#} s"), e)
                : new StreamOpenException(StreamOpenError.Failed, e.InnerException?.Message ?? e.Message, e);
        }
        finally
        {
            if (!opened)
            {
                content.Fail("not opened");
                response?.Dispose();
                await stop.CancelAsync().ConfigureAwait(false);
            }
        }
    }

    /// <inheritdoc/>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_abortReason is { } reason)
        {
            throw new IOException(reason);
        }

        if (_readsDone)
        {
            return 0;
        }

        try
        {
            var read = await _response.ReadAsync(buffer, cancellationToken).ConfigureAwait(false);
            if (read == 0 && buffer.Length > 0)
            {
                _readsDone = true;
            }

            return read;
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            _wasLost = _abortReason is null && !IsReset(e);
            Abort(_wasLost ? "the connection was lost" : "reset by peer");
            throw new IOException(_abortReason, e);
        }
    }

    /// <inheritdoc/>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        ThrowIfNotWritable();
        cancellationToken.ThrowIfCancellationRequested();
        using var cut = cancellationToken.UnsafeRegister(static s => ((DuplexHttpStream)s!).Abort("a write was cancelled"), this);
        try
        {
            await _request.WriteAsync(buffer, _stop.Token).ConfigureAwait(false);
            await _request.FlushAsync(_stop.Token).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            cancellationToken.ThrowIfCancellationRequested();

            // Reading is left alone: a response that ended before the reset can still hold bytes.
            _writesRefused = true;
            throw new IOException(_abortReason ?? "reset by peer", e);
        }
    }

    /// <inheritdoc/>
    public override ValueTask CompleteWritesAsync(CancellationToken cancellationToken = default)
    {
        if (Volatile.Read(ref _writesDone) == 0)
        {
            ThrowIfNotWritable();
            Volatile.Write(ref _writesDone, 1);

            // END_STREAM goes out when the content's writer returns. Nothing is left to wait for: everything written has been flushed.
            _content.Complete();
        }

        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public override void Abort(string reason)
    {
        if (Interlocked.CompareExchange(ref _abortReason, reason, null) is not null)
        {
            return;
        }

        // Failing the content sends RST_STREAM; disposing the response alone would leave the server waiting for the body's end.
        _content.Fail(reason);
        _stop.Cancel();
        _message.Dispose();
        _aborted.Cancel();
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            if (Volatile.Read(ref _writesDone) == 0 || !_readsDone)
            {
                Abort("the stream was closed");
            }

            _message.Dispose();
            (Disposed, var disposed) = (null, Disposed);
            disposed?.Invoke();
        }

        base.Dispose(disposing);
    }

    /// <summary>The refusal that an answer other than 200 is: reason and sentence from its headers.</summary>
    /// <param name="response">As <see cref="DuplexExchange.Refuse"/> made it, or anything else that is no success.</param>
    public static StreamOpenException Refusal(HttpResponseMessage response)
    {
        ArgumentNullException.ThrowIfNull(response);
        var code = Header(response, TunnelWire.ErrorCodeHeader);
        var text = Header(response, TunnelWire.ErrorHeader);
        return new StreamOpenException(StreamOpenErrors.Parse(code), text is null ? $"answered {(int)response.StatusCode}" : Uri.UnescapeDataString(text))
        {
            Answered = true,
            NotUnderstood = response.StatusCode == HttpStatusCode.BadRequest,
        };
    }

    private static string? Header(HttpResponseMessage response, string name) =>
        response.Headers.NonValidated.TryGetValues(name, out var values) ? values.ToString() : null;

    // RST_STREAM and GOAWAY are what a peer says; a connection that ends says nothing.
    private static bool IsReset(Exception? e) => e is not null && (e is HttpProtocolException || IsReset(e.InnerException));

    private void ThrowIfNotWritable()
    {
        if (_abortReason is { } reason)
        {
            throw new IOException(reason);
        }

        if (_writesRefused)
        {
            throw new IOException("reset by peer");
        }

        if (Volatile.Read(ref _writesDone) != 0)
        {
            throw new IOException("writing has been completed");
        }
    }

    // The server reset the stream while we may still write. When it had finished its own direction before, that one stays
    // readable and the reader finds its end; otherwise the reader finds the reset.
    private void RefuseWrites()
    {
        _writesRefused = true;
        if (_readsDone)
        {
            Abort("reset by peer");
        }
    }

    /// <summary>A request body that hands its stream out and lasts until told.</summary>
    private sealed class DuplexContent : HttpContent
    {
        private readonly TaskCompletionSource<Stream> _started = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource _end = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly CancellationTokenSource _refused = new();

        /// <summary>The body's stream, once the request is being sent.</summary>
        public Task<Stream> Started => _started.Task;

        /// <summary>Calls when the server takes no more; at once when that is so already.</summary>
        public void OnWritesRefused(Action callback) => _refused.Token.UnsafeRegister(static s => ((Action)s!)(), callback);

        public void Complete() => _end.TrySetResult();

        public void Fail(string reason) => _end.TrySetException(new IOException(reason));

        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) =>
            SerializeToStreamAsync(stream, context, CancellationToken.None);

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
        {
            await stream.FlushAsync(cancellationToken).ConfigureAwait(false);

            // The handler cancels this when the server resets the stream; the callback must not run on the handler's own thread,
            // because whoever listens may call back into the stream.
            using var reset = cancellationToken.UnsafeRegister(
                static s => ThreadPool.UnsafeQueueUserWorkItem(static content => content.OnReset(), (DuplexContent)s!, preferLocal: false), this);
            _started.TrySetResult(stream);
            await _end.Task.ConfigureAwait(false);
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }

        private void OnReset()
        {
            Fail("reset by peer");
            _refused.Cancel();
        }
    }
}
