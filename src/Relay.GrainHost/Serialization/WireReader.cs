using System.Buffers.Binary;
using System.Text;

namespace Relay.GrainHost.Serialization;

/// <summary>
/// Reads wire bytes. Every length is checked against what is left before anything is allocated.
/// Throws <see cref="WireFormatException"/> when the bytes do not hold together.
/// </summary>
internal ref struct WireReader(ReadOnlySpan<byte> data)
{
    private readonly ReadOnlySpan<byte> _data = data;
    private int _at;
    private int _end = data.Length;
    private int _depth;

    public readonly int Remaining => _end - _at;

    public readonly bool AtEnd => _at == _end;

    public byte ReadByte()
    {
        if (_at == _end) ThrowTruncated();
        return _data[_at++];
    }

    public ulong ReadVarint()
    {
        if (_at < _end && _data[_at] < 0x80) return _data[_at++];
        ulong value = 0;
        for (var shift = 0; shift < 70; shift += 7)
        {
            var b = ReadByte();
            // The tenth byte holds the top bit alone.
            if (shift == 63 && b > 1) break;
            value |= (ulong)(b & 0x7f) << shift;
            if (b < 0x80) return value;
        }

        throw new WireFormatException("A number is longer than 64 bits.");
    }

    public long ReadSigned()
    {
        var value = ReadVarint();
        return (long)(value >> 1) ^ -(long)(value & 1);
    }

    public uint ReadFixed32() => BinaryPrimitives.ReadUInt32LittleEndian(Take(4));

    public ulong ReadFixed64() => BinaryPrimitives.ReadUInt64LittleEndian(Take(8));

    public ReadOnlySpan<byte> ReadBytes()
    {
        var length = ReadVarint();
        if (length > (uint)Remaining) ThrowTruncated();
        return Take((int)length);
    }

    public ReadOnlySpan<byte> ReadBytes(int exactLength)
    {
        var bytes = ReadBytes();
        return bytes.Length == exactLength ? bytes : throw new WireFormatException($"A value of {exactLength} bytes has {bytes.Length}.");
    }

    public string ReadString() => Encoding.UTF8.GetString(ReadBytes());

    /// <summary>False at the end of the block.</summary>
    public bool TryReadTag(out uint key, out WireType type)
    {
        if (AtEnd)
        {
            key = 0;
            type = 0;
            return false;
        }

        var tag = ReadVarint();
        if (tag > uint.MaxValue) throw new WireFormatException("A field's number is out of range.");
        key = (uint)tag >> 2;
        type = (WireType)(tag & 3);
        return true;
    }

    /// <summary>The number of elements that follow. Each takes a byte at least, so more than is left cannot be.</summary>
    public int ReadCount()
    {
        var count = ReadVarint();
        if (count > (uint)Remaining) ThrowTruncated();
        return (int)count;
    }

    /// <summary>Narrows the reader to a block; returns what <see cref="EndBlock"/> needs.</summary>
    public int BeginBlock()
    {
        if (++_depth > WireLimits.MaxDepth) throw new WireFormatException("The message is nested too deeply.");
        var length = ReadFixed32();
        if (length > (uint)Remaining) ThrowTruncated();
        var outer = _end;
        _end = _at + (int)length;
        return outer;
    }

    /// <summary>Leaves the block, over whatever of it was not read.</summary>
    public void EndBlock(int outer)
    {
        _depth--;
        _at = _end;
        _end = outer;
    }

    public void Skip(WireType type)
    {
        switch (type)
        {
            case WireType.Varint: ReadVarint(); break;
            case WireType.Fixed64: Take(8); break;
            case WireType.Bytes: ReadBytes(); break;
            default: EndBlock(BeginBlock()); break;
        }
    }

    public ReadOnlySpan<byte> Take(int count)
    {
        if (count > Remaining) ThrowTruncated();
        var span = _data.Slice(_at, count);
        _at += count;
        return span;
    }

    private static void ThrowTruncated() => throw new WireFormatException("The message is cut short.");
}
