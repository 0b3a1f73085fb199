using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Relay.Protocol.Ssh;

/// <summary>
/// Writes the data types of RFC 4251 §5 into a pooled buffer that grows. Not thread-safe. Caller disposes; the buffer
/// is cleared before it goes back to the pool, because it may have held keys or passwords.
/// </summary>
public sealed class SshWriter : IBufferWriter<byte>, IDisposable
{
    private byte[] _buffer;
    private int _length;

    /// <summary>An empty writer with room for <paramref name="capacity"/> bytes before the first growth.</summary>
    public SshWriter(int capacity = 256) => _buffer = ArrayPool<byte>.Shared.Rent(capacity);

    /// <summary>Bytes written so far.</summary>
    public int Length => _length;

    /// <summary>What was written; valid until the next write, <see cref="Clear"/> or <see cref="Dispose"/>.</summary>
    public ReadOnlySpan<byte> WrittenSpan => _buffer.AsSpan(0, _length);

    /// <summary>What was written; valid until the next write, <see cref="Clear"/> or <see cref="Dispose"/>.</summary>
    public ReadOnlyMemory<byte> WrittenMemory => _buffer.AsMemory(0, _length);

    /// <summary>The written bytes for changing in place, as a packet cipher does; valid as long as <see cref="WrittenSpan"/>.</summary>
    public Span<byte> WritableSpan => _buffer.AsSpan(0, _length);

    /// <summary>A copy of what was written.</summary>
    public byte[] ToArray() => WrittenSpan.ToArray();

    /// <summary>Forgets (and zeroes) what was written; the buffer is kept for the next message.</summary>
    public void Clear()
    {
        CryptographicOperations.ZeroMemory(_buffer.AsSpan(0, _length));
        _length = 0;
    }

    /// <summary>Zeroes the buffer and gives it back. The writer is of no use afterwards. May be called twice.</summary>
    public void Dispose()
    {
        byte[] buffer = _buffer;
        if (buffer.Length == 0) return;
        CryptographicOperations.ZeroMemory(buffer.AsSpan(0, _length));
        _buffer = [];
        _length = 0;
        ArrayPool<byte>.Shared.Return(buffer);
    }

    /// <summary>Writes <c>byte</c>.</summary>
    public void WriteByte(byte value) => Take(1)[0] = value;

    /// <summary>Writes <c>boolean</c>: 1 or 0.</summary>
    public void WriteBoolean(bool value) => Take(1)[0] = value ? (byte)1 : (byte)0;

    /// <summary>Writes <c>uint32</c>, big-endian.</summary>
    public void WriteUInt32(uint value) => BinaryPrimitives.WriteUInt32BigEndian(Take(sizeof(uint)), value);

    /// <summary>Writes <c>uint64</c>, big-endian.</summary>
    public void WriteUInt64(ulong value) => BinaryPrimitives.WriteUInt64BigEndian(Take(sizeof(ulong)), value);

    /// <summary>Writes the bytes as they are, without a length.</summary>
    public void WriteBytes(ReadOnlySpan<byte> value) => value.CopyTo(Take(value.Length));

    /// <summary>Writes <c>string</c>: the uint32 length, then the bytes.</summary>
    public void WriteString(ReadOnlySpan<byte> value)
    {
        WriteUInt32((uint)value.Length);
        WriteBytes(value);
    }

    /// <summary>Writes <c>string</c> holding the text as UTF-8.</summary>
    public void WriteString(string value)
    {
        ArgumentNullException.ThrowIfNull(value);
        int count = Encoding.UTF8.GetByteCount(value);
        WriteUInt32((uint)count);
        Encoding.UTF8.GetBytes(value, Take(count));
    }

    /// <summary>Writes <c>mpint</c> from an unsigned big-endian magnitude; leading zero bytes are dropped, a sign byte is added where needed.</summary>
    public void WriteMpint(ReadOnlySpan<byte> magnitude)
    {
        magnitude = magnitude.TrimStart((byte)0);
        bool signByte = !magnitude.IsEmpty && magnitude[0] >= 0x80;
        WriteUInt32((uint)(magnitude.Length + (signByte ? 1 : 0)));
        if (signByte) WriteByte(0);
        WriteBytes(magnitude);
    }

    /// <summary>Writes <c>name-list</c>; the names must hold no comma.</summary>
    public void WriteNameList(IReadOnlyList<string> names)
    {
        int mark = BeginString();
        for (int i = 0; i < names.Count; i++)
        {
            if (i > 0) WriteByte((byte)',');
            Encoding.ASCII.GetBytes(names[i], Take(names[i].Length));
        }

        EndString(mark);
    }

    /// <summary>Starts a <c>string</c> whose length is not known yet; pass the returned mark to <see cref="EndString"/>. Nests.</summary>
    public int BeginString()
    {
        int mark = _length;
        WriteUInt32(0);
        return mark;
    }

    /// <summary>Ends the <c>string</c> begun at <paramref name="mark"/>: what was written since is its content.</summary>
    public void EndString(int mark) =>
        BinaryPrimitives.WriteUInt32BigEndian(_buffer.AsSpan(mark), (uint)(_length - mark - sizeof(uint)));

    /// <inheritdoc/>
    public void Advance(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, _buffer.Length - _length);
        _length += count;
    }

    /// <inheritdoc/>
    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        Ensure(Math.Max(sizeHint, 1));
        return _buffer.AsMemory(_length);
    }

    /// <inheritdoc/>
    public Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    private Span<byte> Take(int count)
    {
        Ensure(count);
        Span<byte> taken = _buffer.AsSpan(_length, count);
        _length += count;
        return taken;
    }

    private void Ensure(int count)
    {
        if (count <= _buffer.Length - _length) return;
        ObjectDisposedException.ThrowIf(_buffer.Length == 0, this);
        byte[] larger = ArrayPool<byte>.Shared.Rent(Math.Max(_length + count, _buffer.Length * 2));
        _buffer.AsSpan(0, _length).CopyTo(larger);
        CryptographicOperations.ZeroMemory(_buffer.AsSpan(0, _length));
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = larger;
    }
}
