namespace Relay.Protocol.Ssh;

/// <summary>
/// Payload of "pty-req", RFC 4254 §6.2: string TERM, uint32 columns, rows, width and height in pixels, string encoded
/// terminal modes.
/// </summary>
/// <param name="Terminal">TERM, at most 256 bytes of UTF-8; untrusted.</param>
/// <param name="Columns">Width in characters; 0 when not known.</param>
/// <param name="Rows">Height in characters; 0 when not known.</param>
/// <param name="PixelWidth">0 when not known.</param>
/// <param name="PixelHeight">0 when not known.</param>
/// <param name="Modes">RFC 4254 §8: opcode and uint32 pairs, ended by opcode 0; at most 4096 bytes, as they came.</param>
public sealed record SshPtyRequest(string Terminal, uint Columns, uint Rows, uint PixelWidth, uint PixelHeight, ReadOnlyMemory<byte> Modes)
{
    /// <summary>Name of the request.</summary>
    public const string RequestType = "pty-req";
    private const int MaximumTerminal = 256;
    private const int MaximumModes = 4096;

    /// <summary>False: malformed or over the bounds.</summary>
    public static bool TryParse(ReadOnlySpan<byte> payload, out SshPtyRequest request)
    {
        request = new("", 0, 0, 0, 0, default);
        var reader = new SshReader(payload);
        if (!reader.TryReadText(MaximumTerminal, out var terminal) || !reader.TryReadUInt32(out var columns) || !reader.TryReadUInt32(out var rows)
            || !reader.TryReadUInt32(out var width) || !reader.TryReadUInt32(out var height)
            || !reader.TryReadString(MaximumModes, out var modes) || !reader.IsAtEnd)
        {
            return false;
        }

        request = new(terminal, columns, rows, width, height, modes.ToArray());
        return true;
    }

    /// <summary>The payload.</summary>
    public byte[] ToPayload()
    {
        using var writer = new SshWriter();
        writer.WriteString(Terminal);
        writer.WriteUInt32(Columns);
        writer.WriteUInt32(Rows);
        writer.WriteUInt32(PixelWidth);
        writer.WriteUInt32(PixelHeight);
        writer.WriteString(Modes.Span);
        return writer.ToArray();
    }

    /// <summary>The modes as opcode and argument, up to TTY_OP_END or the first opcode without a uint32 argument (RFC 4254 §8).</summary>
    public IReadOnlyList<(byte Opcode, uint Argument)> ReadModes()
    {
        var modes = new List<(byte, uint)>();
        var reader = new SshReader(Modes.Span);
        while (reader.TryReadByte(out var opcode) && opcode is > 0 and < 160 && reader.TryReadUInt32(out var argument))
            modes.Add((opcode, argument));
        return modes;
    }
}

/// <summary>Payload of "window-change", RFC 4254 §6.7: uint32 columns, rows, width and height in pixels.</summary>
/// <param name="Columns">Width in characters; 0 when not known.</param>
/// <param name="Rows">Height in characters; 0 when not known.</param>
/// <param name="PixelWidth">0 when not known.</param>
/// <param name="PixelHeight">0 when not known.</param>
public readonly record struct SshWindowChange(uint Columns, uint Rows, uint PixelWidth, uint PixelHeight)
{
    /// <summary>Name of the request.</summary>
    public const string RequestType = "window-change";

    /// <summary>False: malformed.</summary>
    public static bool TryParse(ReadOnlySpan<byte> payload, out SshWindowChange change)
    {
        change = default;
        var reader = new SshReader(payload);
        if (!reader.TryReadUInt32(out var columns) || !reader.TryReadUInt32(out var rows)
            || !reader.TryReadUInt32(out var width) || !reader.TryReadUInt32(out var height) || !reader.IsAtEnd)
        {
            return false;
        }

        change = new(columns, rows, width, height);
        return true;
    }

    /// <summary>The payload.</summary>
    public byte[] ToPayload()
    {
        using var writer = new SshWriter(16);
        writer.WriteUInt32(Columns);
        writer.WriteUInt32(Rows);
        writer.WriteUInt32(PixelWidth);
        writer.WriteUInt32(PixelHeight);
        return writer.ToArray();
    }
}
