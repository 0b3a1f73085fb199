using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;

namespace Relay.Protocol.Tunnel;

/// <summary>
/// The server's end of a duplex HTTP/2 request: reads come from the request body, writes go into the response body.
/// Lives inside the request's handler, which must not return before both directions are over. Caller disposes.
/// </summary>
public sealed class DuplexExchange : DuplexStream
{
    // RFC 9113 §7. CANCEL: the stream is no longer needed.
    private const int CancelCode = 8;

    private readonly HttpContext _context;
    private readonly PipeReader _reader;
    private readonly CancellationTokenSource _stop = new();
    private readonly CancellationTokenRegistration _requestAborted;
    private PipeWriter? _writer;
    private string? _abortReason;
    private int _writesDone;
    private bool _readsDone;

    private DuplexExchange(HttpContext context)
    {
        _context = context;
        _reader = context.Request.BodyReader;
        _requestAborted = context.RequestAborted.UnsafeRegister(static s => ((DuplexExchange)s!).OnReset(), this);
    }

    /// <inheritdoc/>
    public override CancellationToken Aborted => _stop.Token;

    /// <summary>Answers 200 and sends the headers at once; both bodies stay open.</summary>
    /// <param name="context">A request whose response has not begun; response headers set on it go out.</param>
    /// <exception cref="IOException">The client is gone.</exception>
    public static async ValueTask<DuplexExchange> AcceptAsync(HttpContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        if (context.Features.Get<IHttpMinRequestBodyDataRateFeature>() is { } rate)
        {
            rate.MinDataRate = null;
        }

        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
        {
            size.MaxRequestBodySize = null;
        }

        context.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
        context.Response.StatusCode = StatusCodes.Status200OK;
        var exchange = new DuplexExchange(context);

        // StartAsync alone would keep the headers back until the first byte, and both sides would wait for ever.
        await context.Response.Body.FlushAsync(context.RequestAborted).ConfigureAwait(false);
        exchange._writer = context.Response.BodyWriter;
        return exchange;
    }

    /// <summary>Refuses to open a stream: 502, reason and sentence in the headers.</summary>
    /// <param name="context">A request whose response has not begun.</param>
    /// <param name="error">The reason.</param>
    /// <param name="message">One sentence, safe to show to the user.</param>
    public static void Refuse(HttpContext context, StreamOpenError error, string message)
    {
        ArgumentNullException.ThrowIfNull(context);
        context.Response.StatusCode = error is StreamOpenError.StaleEpoch or StreamOpenError.NotAttached ? StatusCodes.Status409Conflict : StatusCodes.Status502BadGateway;
        context.Response.Headers[TunnelWire.ErrorCodeHeader] = error.ToWire();

        // Header values are ASCII; names of hosts and people need not be.
        context.Response.Headers[TunnelWire.ErrorHeader] = Uri.EscapeDataString(message);
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
            var result = await _reader.ReadAsync(cancellationToken).ConfigureAwait(false);
            if (result.IsCanceled)
            {
                _reader.AdvanceTo(result.Buffer.Start);
                throw new IOException("aborted");
            }

            var taken = result.Buffer;
            if (taken.Length > buffer.Length)
            {
                taken = taken.Slice(0, buffer.Length);
            }

            taken.CopyTo(buffer.Span);
            var length = (int)taken.Length;
            var ended = result.IsCompleted && length == result.Buffer.Length;
            _reader.AdvanceTo(taken.End);
            if (length == 0 && ended)
            {
                _readsDone = true;
            }

            return length;
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            throw Broken(e);
        }
    }

    /// <inheritdoc/>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        ThrowIfNotWritable();
        cancellationToken.ThrowIfCancellationRequested();
        using var cut = cancellationToken.UnsafeRegister(static s => ((DuplexExchange)s!).Abort("a write was cancelled"), this);
        try
        {
            var result = await _writer!.WriteAsync(buffer, _stop.Token).ConfigureAwait(false);
            if (result.IsCompleted || result.IsCanceled)
            {
                // Kestrel drops what is written to a stream that is gone, without an error.
                throw new IOException("reset by peer");
            }
        }
        catch (Exception e)
        {
            cancellationToken.ThrowIfCancellationRequested();
            throw Broken(e);
        }
    }

    /// <inheritdoc/>
    public override async ValueTask CompleteWritesAsync(CancellationToken cancellationToken = default)
    {
        if (Volatile.Read(ref _writesDone) != 0)
        {
            return;
        }

        ThrowIfNotWritable();
        Volatile.Write(ref _writesDone, 1);
        using var cut = cancellationToken.UnsafeRegister(static s => ((DuplexExchange)s!).Abort("a write was cancelled"), this);
        try
        {
            await _context.Response.CompleteAsync().ConfigureAwait(false);
        }
        catch (Exception e)
        {
            cancellationToken.ThrowIfCancellationRequested();
            throw Broken(e);
        }
    }

    /// <inheritdoc/>
    public override void Abort(string reason)
    {
        if (Interlocked.CompareExchange(ref _abortReason, reason, null) is not null)
        {
            return;
        }

        try
        {
            if (Volatile.Read(ref _writesDone) != 0)
            {
                // What was written is still on its way, and a reset now would cut it off. When the handler returns the server
                // ends the other direction by itself, after the last byte of this one (RFC 9113 §8.1, NO_ERROR).
                _reader.CancelPendingRead();
            }
            else if (_context.Features.Get<IHttpResetFeature>() is { } http2)
            {
                http2.Reset(CancelCode);
            }
            else
            {
                _context.Abort();
            }
        }
        catch (Exception e) when (e is ObjectDisposedException or InvalidOperationException or IOException)
        {
            // The request has ended meanwhile: nothing is left to reset.
        }

        _stop.Cancel();
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _requestAborted.Dispose();
            if (Volatile.Read(ref _writesDone) == 0 || !_readsDone)
            {
                Abort("the stream was closed");
            }
        }

        base.Dispose(disposing);
    }

    private void OnReset()
    {
        Interlocked.CompareExchange(ref _abortReason, "reset by peer", null);
        _stop.Cancel();
    }

    private void ThrowIfNotWritable()
    {
        if (_abortReason is { } reason)
        {
            throw new IOException(reason);
        }

        if (Volatile.Read(ref _writesDone) != 0)
        {
            throw new IOException("writing has been completed");
        }
    }

    private IOException Broken(Exception e)
    {
        var reason = _abortReason ?? "reset by peer";
        Abort(reason);
        return new IOException(reason, e);
    }
}
