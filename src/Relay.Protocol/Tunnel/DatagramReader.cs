using System.Buffers;
using System.Buffers.Binary;

namespace Relay.Protocol.Tunnel;

/// <summary>What <see cref="DatagramReader.TryRead"/> found.</summary>
public enum DatagramReading
{
    /// <summary>The rest of one has not come yet, or nothing has.</summary>
    NeedsMore = 0,

    /// <summary>One datagram.</summary>
    Datagram,

    /// <summary>The peer broke the framing: nothing that follows can be read.</summary>
    TooLong,
}

/// <summary>
/// Takes a stream's bytes in whatever pieces they come and gives its datagrams back. Holds one buffer of <see cref="BufferBytes"/> bytes
/// while there is something in it, and none at rest, whatever lengths the peer claims (L16). Not thread-safe. Caller disposes.
/// </summary>
public sealed class DatagramReader : IDisposable
{
    /// <summary>Room for the longest datagram with its header; some forty of the usual ones at once.</summary>
    public const int BufferBytes = 64 * 1024;

    private byte[]? _buffer;
    private int _start;
    private int _end;
    private int _used;
    private bool _broken;

    /// <summary>Bytes that were not read yet; 0: the stream may end here.</summary>
    public int Pending => _end - _start;

    private int NextLength => BinaryPrimitives.ReadUInt16BigEndian(_buffer.AsSpan(_start));

    /// <summary>Where the next bytes go; never empty. All whole datagrams have been read before.</summary>
    public Memory<byte> Room()
    {
        _buffer ??= ArrayPool<byte>.Shared.Rent(BufferBytes);
        if (_start > 0)
        {
            _buffer.AsSpan(_start, Pending).CopyTo(_buffer);
            (_start, _end) = (0, Pending);
        }

        return _buffer.AsMemory(_end);
    }

    /// <summary>So many bytes were put at the start of <see cref="Room"/>.</summary>
    /// <param name="bytes">At most what there was room for.</param>
    /// <exception cref="ArgumentOutOfRangeException">More than that.</exception>
    public void Advance(int bytes)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)bytes, (uint)((_buffer?.Length ?? 0) - _end), nameof(bytes));
        _end += bytes;
        _used = Math.Max(_used, _end);
    }

    /// <summary>What <see cref="TryRead"/> would find; takes nothing.</summary>
    public DatagramReading Look()
    {
        if (_broken)
            return DatagramReading.TooLong;
        if (Pending < DatagramFraming.HeaderBytes)
            return DatagramReading.NeedsMore;
        int length = NextLength;
        _broken = length > DatagramFraming.MaxBytes;
        return _broken ? DatagramReading.TooLong : Pending < DatagramFraming.HeaderBytes + length ? DatagramReading.NeedsMore : DatagramReading.Datagram;
    }

    /// <summary>The next datagram.</summary>
    /// <param name="datagram">It lies in the buffer until the next call of anything here; empty unless there is one.</param>
    public DatagramReading TryRead(out ReadOnlySpan<byte> datagram)
    {
        datagram = default;
        var found = Look();
        if (found == DatagramReading.Datagram)
        {
            datagram = _buffer.AsSpan(_start + DatagramFraming.HeaderBytes, NextLength);
            _start += DatagramFraming.HeaderBytes + datagram.Length;
        }
        else if (Pending == 0)
        {
            Release();
        }

        return found;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        (_start, _end) = (0, 0);
        Release();
    }

    // SECURITY: what a session sent must not show up in the next renter's buffer.
    private void Release()
    {
        if (_buffer is not { } buffer)
            return;
        (_buffer, _start, _end) = (null, 0, 0);
        buffer.AsSpan(0, _used).Clear();
        _used = 0;
        ArrayPool<byte>.Shared.Return(buffer);
    }
}
