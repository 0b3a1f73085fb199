using System.Buffers.Binary;
using Relay.GrainHost.Serialization;

namespace Relay.GrainHost.Links;

/// <summary>The receiving half of a link. One reader at a time.</summary>
internal sealed class FrameReader(Stream stream)
{
    private byte[] _buffer = new byte[LinkWire.ReadBufferBytes];
    private int _start;
    private int _end;

    /// <summary>The frame <see cref="TryTake"/> has found: from its kind on. Valid until the next read.</summary>
    public ReadOnlySpan<byte> Frame => _buffer.AsSpan(_frameStart, _frameLength);

    private int _frameStart;
    private int _frameLength;

    /// <summary>Takes the next frame that has arrived whole. False: read on.</summary>
    /// <exception cref="WireFormatException">Its length is zero or above the limit. Checked before anything is allocated for it.</exception>
    public bool TryTake(int maxFrameBytes)
    {
        if (_end - _start < LinkWire.LengthBytes) return false;
        var length = BinaryPrimitives.ReadUInt32LittleEndian(_buffer.AsSpan(_start));
        if (length == 0 || length > (uint)maxFrameBytes) throw new WireFormatException($"A frame of {length} bytes was announced; the limit is {maxFrameBytes}.");
        if (_end - _start - LinkWire.LengthBytes < length)
        {
            Reserve(LinkWire.LengthBytes + (int)length);
            return false;
        }

        _frameStart = _start + LinkWire.LengthBytes;
        _frameLength = (int)length;
        _start = _frameStart + _frameLength;
        return true;
    }

    /// <summary>Reads what there is. False: the peer has ended the stream.</summary>
    public async ValueTask<bool> ReadAsync(CancellationToken cancellationToken)
    {
        if (_start == _end)
        {
            _start = _end = 0;
            if (_buffer.Length > 4 * LinkWire.ReadBufferBytes) _buffer = new byte[LinkWire.ReadBufferBytes];
        }
        else if (_buffer.Length - _end < LinkWire.LengthBytes)
        {
            Compact();
        }

        var count = await stream.ReadAsync(_buffer.AsMemory(_end), cancellationToken).ConfigureAwait(false);
        _end += count;
        return count > 0;
    }

    /// <summary>Waits for one frame; null when the stream ends before it.</summary>
    public async ValueTask<byte[]?> ReadFrameAsync(int maxFrameBytes, CancellationToken cancellationToken)
    {
        while (!TryTake(maxFrameBytes))
        {
            if (!await ReadAsync(cancellationToken).ConfigureAwait(false)) return null;
        }

        return Frame.ToArray();
    }

    private void Reserve(int frame)
    {
        if (_buffer.Length - _start >= frame) return;
        if (_buffer.Length >= frame)
        {
            Compact();
            return;
        }

        var grown = new byte[frame];
        _buffer.AsSpan(_start.._end).CopyTo(grown);
        _buffer = grown;
        _end -= _start;
        _start = 0;
    }

    private void Compact()
    {
        _buffer.AsSpan(_start.._end).CopyTo(_buffer);
        _end -= _start;
        _start = 0;
    }
}
