namespace Relay.Gateway.Recording;

/// <summary>
/// The start of a UTF-8 sequence that the last packet of one direction ended in: at most three bytes.
/// Each stream (stdout, stderr, input) has its own, or bytes of one would complete a character of another.
/// </summary>
internal struct Utf8Carry
{
    private uint _bytes;

    /// <summary>Bytes held, 0..3.</summary>
    public int Count { get; private set; }

    /// <summary>Copies the held bytes to the front of <paramref name="destination"/> (at least 3 bytes) and forgets them.</summary>
    public int MoveTo(Span<byte> destination)
    {
        var count = Count;
        for (var i = 0; i < count; i++)
        {
            destination[i] = (byte)(_bytes >> (8 * i));
        }

        (_bytes, Count) = (0, 0);
        return count;
    }

    /// <summary>Holds 1..3 bytes; the former ones must have been moved out.</summary>
    public void Hold(ReadOnlySpan<byte> bytes)
    {
        (_bytes, Count) = (0, bytes.Length);
        for (var i = 0; i < bytes.Length; i++)
        {
            _bytes |= (uint)bytes[i] << (8 * i);
        }
    }
}
