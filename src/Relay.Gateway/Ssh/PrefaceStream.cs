using System.Text;

namespace Relay.Gateway.Ssh;

/// <summary>
/// A user's connection whose first bytes may be a routing hint, <c>RELAY-1.0 socket CR LF</c> (at most 256 bytes), before the
/// SSH identification string. The hint is taken out of what is read; writing is not delayed by it, because an SSH server
/// speaks without being asked. Disposes the inner stream.
/// </summary>
internal sealed class PrefaceStream(Stream inner) : Stream
{
    private const int MaxLineBytes = 256;
    private static readonly byte[] s_magic = "RELAY-1.0 "u8.ToArray();

    private byte[]? _pending = [];
    private int _offset;
    private int _end;
    private bool _decided;

    /// <summary>The socket a preface named; null when there was none (yet).</summary>
    public string? Socket { get; private set; }

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <exception cref="InvalidDataException">The connection began with a preface that is not one.</exception>
    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        _pending is null ? inner.ReadAsync(buffer, cancellationToken) : ReadFirstAsync(buffer, cancellationToken);

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
        inner.WriteAsync(buffer, cancellationToken);

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        inner.WriteAsync(buffer, offset, count, cancellationToken);

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override Task FlushAsync(CancellationToken cancellationToken) => inner.FlushAsync(cancellationToken);

    public override void Flush() => inner.Flush();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            inner.Dispose();
        }

        base.Dispose(disposing);
    }

    private async ValueTask<int> ReadFirstAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        if (buffer.IsEmpty)
        {
            return 0;
        }

        if (_pending is { Length: 0 })
        {
            _pending = new byte[MaxLineBytes];
        }

        while (!_decided)
        {
            var read = await inner.ReadAsync(_pending.AsMemory(_end), cancellationToken);
            _end += read;
            _decided = read == 0 || TryDecide();
        }

        // A preface may have been all that came.
        if (_offset == _end)
        {
            _pending = null;
            return await inner.ReadAsync(buffer, cancellationToken);
        }

        var count = Math.Min(buffer.Length, _end - _offset);
        _pending.AsMemory(_offset, count).CopyTo(buffer);
        _offset += count;
        if (_offset == _end)
        {
            _pending = null;
        }

        return count;
    }

    // True when the bytes so far settle whether there is a preface.
    private bool TryDecide()
    {
        var seen = _pending.AsSpan(0, _end);
        var compared = Math.Min(seen.Length, s_magic.Length);
        if (!seen[..compared].SequenceEqual(s_magic.AsSpan(0, compared)))
        {
            return true;
        }

        var lineEnd = seen.IndexOf("\r\n"u8);
        if (lineEnd < 0)
        {
            return seen.Length < MaxLineBytes ? false : throw new InvalidDataException("The preface has no end.");
        }

        var name = Encoding.Latin1.GetString(seen[s_magic.Length..lineEnd]);
        if (!LoginName.IsSocketName(name))
        {
            throw new InvalidDataException("The preface names no socket.");
        }

        Socket = name;
        _offset = lineEnd + 2;
        return true;
    }
}
