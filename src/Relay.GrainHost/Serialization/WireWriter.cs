using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Text;

namespace Relay.GrainHost.Serialization;

/// <summary>A growing buffer of wire bytes. Reused per thread; not thread-safe.</summary>
internal sealed class WireWriter
{
    private const int RetainedBytes = 64 * 1024;

    private byte[] _buffer = new byte[1024];
    private int _length;
    private int _depth;

    public int Length => _length;

    public ReadOnlySpan<byte> Written => _buffer.AsSpan(0, _length);

    /// <summary>Empties the buffer for the next use; a buffer that one large message has grown is let go.</summary>
    public void Clear()
    {
        _length = 0;
        _depth = 0;
        if (_buffer.Length > RetainedBytes) _buffer = new byte[1024];
    }

    public void WriteByte(byte value)
    {
        if (_length == _buffer.Length) Grow(1);
        _buffer[_length++] = value;
    }

    public void WriteVarint(ulong value)
    {
        if (_buffer.Length - _length < 10) Grow(10);
        var buffer = _buffer;
        var at = _length;
        while (value >= 0x80)
        {
            buffer[at++] = (byte)(value | 0x80);
            value >>= 7;
        }

        buffer[at++] = (byte)value;
        _length = at;
    }

    /// <summary>Zigzag: small negative numbers stay short.</summary>
    public void WriteSigned(long value) => WriteVarint((ulong)((value << 1) ^ (value >> 63)));

    public void WriteFixed32(uint value) => BinaryPrimitives.WriteUInt32LittleEndian(Take(4), value);

    public void WriteFixed64(ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Take(8), value);

    public void WriteBytes(ReadOnlySpan<byte> value)
    {
        WriteVarint((uint)value.Length);
        value.CopyTo(Take(value.Length));
    }

    public void WriteString(string value)
    {
        var bytes = Encoding.UTF8.GetByteCount(value);
        WriteVarint((uint)bytes);
        Encoding.UTF8.GetBytes(value, Take(bytes));
    }

    public void WriteTag(uint key, WireType type) => WriteVarint((key << 2) | (uint)type);

    /// <summary>Opens a block; returns what <see cref="EndBlock"/> needs.</summary>
    public int BeginBlock()
    {
        if (++_depth > WireLimits.MaxDepth) throw new InvalidOperationException("The message is nested too deeply, or refers to itself.");
        var start = _length;
        Take(4);
        return start;
    }

    public void EndBlock(int start)
    {
        _depth--;
        PatchFixed32(start, (uint)(_length - start - 4));
    }

    public void PatchFixed32(int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(_buffer.AsSpan(at), value);

    /// <summary>Room for <paramref name="count"/> bytes that the caller fills at once.</summary>
    public Span<byte> Take(int count)
    {
        if (_buffer.Length - _length < count) Grow(count);
        var span = _buffer.AsSpan(_length, count);
        _length += count;
        return span;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Grow(int count) =>
        Array.Resize(ref _buffer, (int)Math.Min(Array.MaxLength, Math.Max((long)_buffer.Length * 2, (long)_length + count)));
}
