using System.Buffers.Binary;
using System.Text;

namespace Relay.Protocol.Ssh;

/// <summary>
/// Reads the data types of RFC 4251 §5 from one message, front to back, without copying. A method that returns
/// false has read nothing: the position is where it was. False means one thing: the bytes left do not hold such
/// a value (too short, over the given bound, or not in the form the specification demands).
/// </summary>
public ref struct SshReader
{
    /// <summary>Longest name in a name-list, RFC 4251 §6.</summary>
    public const int MaximumNameLength = 64;

    /// <summary>Most names taken from one name-list. OpenSSH's longest list has under 30; this is our own limit.</summary>
    public const int MaximumNames = 256;

    private readonly ReadOnlySpan<byte> _data;
    private int _position;

    /// <summary>Starts at the first byte of <paramref name="data"/>, which is borrowed and never copied.</summary>
    public SshReader(ReadOnlySpan<byte> data)
    {
        _data = data;
        _position = 0;
    }

    /// <summary>Bytes read so far.</summary>
    public readonly int Position => _position;

    /// <summary>Bytes not read yet.</summary>
    public readonly int Remaining => _data.Length - _position;

    /// <summary>The bytes not read yet, without reading them.</summary>
    public readonly ReadOnlySpan<byte> Rest => _data[_position..];

    /// <summary>True when every byte has been read.</summary>
    public readonly bool IsAtEnd => _position == _data.Length;

    /// <summary>Reads <c>byte</c>.</summary>
    public bool TryReadByte(out byte value)
    {
        if (Remaining < 1)
        {
            value = 0;
            return false;
        }

        value = _data[_position++];
        return true;
    }

    /// <summary>Reads <c>boolean</c>: one byte, any value but zero is true.</summary>
    public bool TryReadBoolean(out bool value)
    {
        bool read = TryReadByte(out byte raw);
        value = raw != 0;
        return read;
    }

    /// <summary>Reads <c>uint32</c>, big-endian.</summary>
    public bool TryReadUInt32(out uint value)
    {
        if (!BinaryPrimitives.TryReadUInt32BigEndian(_data[_position..], out value)) return false;
        _position += sizeof(uint);
        return true;
    }

    /// <summary>Reads <c>uint64</c>, big-endian.</summary>
    public bool TryReadUInt64(out ulong value)
    {
        if (!BinaryPrimitives.TryReadUInt64BigEndian(_data[_position..], out value)) return false;
        _position += sizeof(ulong);
        return true;
    }

    /// <summary>Reads exactly <paramref name="count"/> bytes; false when fewer are left or the count is negative.</summary>
    public bool TryReadBytes(int count, out ReadOnlySpan<byte> value)
    {
        if (count < 0 || count > Remaining)
        {
            value = default;
            return false;
        }

        value = _data.Slice(_position, count);
        _position += count;
        return true;
    }

    /// <summary>Reads <c>string</c>: a uint32 length and that many bytes, borrowed from the message.</summary>
    public bool TryReadString(out ReadOnlySpan<byte> value) => TryReadString(int.MaxValue, out value);

    /// <summary>Reads <c>string</c> of at most <paramref name="maximumLength"/> bytes.</summary>
    public bool TryReadString(int maximumLength, out ReadOnlySpan<byte> value)
    {
        value = default;
        ReadOnlySpan<byte> rest = _data[_position..];
        // Compared before anything is subtracted or sliced: the length is the peer's (L14, L16).
        if (!BinaryPrimitives.TryReadUInt32BigEndian(rest, out uint length)) return false;
        if (length > (uint)(rest.Length - sizeof(uint)) || length > (uint)maximumLength) return false;
        value = rest.Slice(sizeof(uint), (int)length);
        _position += sizeof(uint) + (int)length;
        return true;
    }

    /// <summary>Reads <c>string</c> as UTF-8 text of at most <paramref name="maximumBytes"/> bytes; false for bytes that are not UTF-8.</summary>
    public bool TryReadText(int maximumBytes, out string value)
    {
        SshReader before = this;
        if (TryReadString(maximumBytes, out ReadOnlySpan<byte> raw) && System.Text.Unicode.Utf8.IsValid(raw))
        {
            value = Encoding.UTF8.GetString(raw);
            return true;
        }

        this = before;
        value = "";
        return false;
    }

    /// <summary>
    /// Reads <c>mpint</c> that is not negative, as its magnitude: big-endian, no leading zero byte, empty for zero.
    /// A negative number and one with needless leading bytes (RFC 4251 §5: MUST NOT) are refused.
    /// </summary>
    public bool TryReadMpint(out ReadOnlySpan<byte> magnitude)
    {
        SshReader before = this;
        if (!TryReadString(out magnitude)) return false;
        if (magnitude.IsEmpty) return true;
        if (magnitude[0] == 0)
        {
            if (magnitude.Length > 1 && magnitude[1] >= 0x80)
            {
                magnitude = magnitude[1..];
                return true;
            }
        }
        else if (magnitude[0] < 0x80)
        {
            return true;
        }

        this = before;
        magnitude = default;
        return false;
    }

    /// <summary>
    /// Reads <c>name-list</c>: names of 1 to 64 printable US-ASCII characters between commas, at most
    /// <see cref="MaximumNames"/>. A zero-length string is the empty list.
    /// </summary>
    public bool TryReadNameList(out string[] names)
    {
        SshReader before = this;
        names = [];
        if (!TryReadString(MaximumNames * (MaximumNameLength + 1), out ReadOnlySpan<byte> raw)) return false;
        if (raw.IsEmpty) return true;

        // First pass checks, so that nothing is allocated for a list that is refused.
        int count = 1, length = 0;
        foreach (byte b in raw)
        {
            if (b == (byte)',')
            {
                if (length == 0) count = MaximumNames + 1;
                count++;
                length = 0;
            }
            else
            {
                length = b is > 0x20 and < 0x7f ? length + 1 : MaximumNameLength + 1;
            }

            if (count > MaximumNames || length > MaximumNameLength) break;
        }

        if (length is 0 or > MaximumNameLength || count > MaximumNames)
        {
            this = before;
            return false;
        }

        names = new string[count];
        int index = 0;
        foreach (Range range in raw.Split((byte)',')) names[index++] = Encoding.ASCII.GetString(raw[range]);
        return true;
    }
}
