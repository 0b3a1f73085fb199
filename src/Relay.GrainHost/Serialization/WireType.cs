namespace Relay.GrainHost.Serialization;

/// <summary>How a value's bytes are delimited, so that a reader can skip a field it does not know.</summary>
internal enum WireType
{
    /// <summary>LEB128, at most 10 bytes.</summary>
    Varint = 0,

    /// <summary>8 bytes, little-endian.</summary>
    Fixed64 = 1,

    /// <summary>Varint length, then that many bytes.</summary>
    Bytes = 2,

    /// <summary>32-bit little-endian length, then that many bytes: an object or a collection.</summary>
    Block = 3,
}

/// <summary>The peer's bytes do not hold together. The link that brought them is closed, or the call fails.</summary>
internal sealed class WireFormatException(string message) : FormatException(message);

/// <summary>Limits of the format, apart from the frame's own size.</summary>
internal static class WireLimits
{
    /// <summary>Objects inside objects. Also ends the writing of a cycle.</summary>
    public const int MaxDepth = 32;

    /// <summary>What a collection may allocate before its elements have been seen.</summary>
    public const int MaxInitialCapacity = 1024;

    /// <summary>Ids are kept below 2^28 so that a tag fits 32 bits.</summary>
    public const uint MaxId = (1u << 28) - 1;
}
