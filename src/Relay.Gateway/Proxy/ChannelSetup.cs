using Relay.Protocol.Ssh;

namespace Relay.Gateway.Proxy;

/// <summary>
/// What a user asked for on a session channel before its shell, command or subsystem: kept until the silo has allowed that one,
/// because nothing may be opened on the target before. Not thread-safe.
/// </summary>
internal sealed class ChannelSetup
{
    private const int MaxTermLength = 64;
    private const int MaxPtyModes = 4096;
    private const uint MaxSide = 10_000;

    private readonly List<byte[]> _environment = [];
    private byte[]? _pty;
    private int _pixelsOffset;

    public bool HasTerminal => _pty is not null;

    /// <summary>Terminal type; null without a terminal.</summary>
    public string? Term { get; private set; }

    public int Columns { get; private set; } = 80;

    public int Rows { get; private set; } = 24;

    /// <summary>Agent forwarding was asked for and allowed.</summary>
    public bool Agent { get; set; }

    /// <summary>"env" payloads as sent.</summary>
    public IReadOnlyList<byte[]> Environment => _environment;

    /// <summary>"pty-req" payload for the target, with the latest size; null without a terminal.</summary>
    public byte[]? PtyPayload()
    {
        if (_pty is null)
        {
            return null;
        }

        using var writer = new SshWriter();
        writer.WriteString(Term!);
        writer.WriteUInt32((uint)Columns);
        writer.WriteUInt32((uint)Rows);
        writer.WriteBytes(_pty.AsSpan(_pixelsOffset));
        return writer.ToArray();
    }

    /// <summary>RFC 4254 §6.2. False: malformed, or a second one.</summary>
    public bool TryAddTerminal(ReadOnlySpan<byte> payload)
    {
        var reader = new SshReader(payload);
        if (_pty is not null
            || !reader.TryReadText(MaxTermLength, out var term) || term.AsSpan().ContainsAnyInRange('\0', ' ')
            || !TryReadSize(ref reader)
            || !reader.TryReadString(MaxPtyModes, out _) || !reader.IsAtEnd)
        {
            return false;
        }

        // Term, columns and rows are written anew; width and height in pixels and the modes go as sent.
        _pty = payload.ToArray();
        _pixelsOffset = 4 + System.Text.Encoding.UTF8.GetByteCount(term) + 8;
        Term = term;
        return true;
    }

    /// <summary>RFC 4254 §6.7. False: malformed.</summary>
    public bool TryResize(ReadOnlySpan<byte> payload)
    {
        var reader = new SshReader(payload);
        return TryReadSize(ref reader) && reader.IsAtEnd;
    }

    /// <summary>RFC 4254 §6.4. False: not on the allow-list, too many, or malformed.</summary>
    public bool TryAddVariable(ReadOnlySpan<byte> payload)
    {
        var reader = new SshReader(payload);
        if (_environment.Count >= EnvironmentRules.MaxVariables
            || !reader.TryReadText(256, out var name) || !reader.TryReadText(4096, out var value) || !reader.IsAtEnd
            || !EnvironmentRules.IsAllowed(name, value))
        {
            return false;
        }

        _environment.Add(payload.ToArray());
        return true;
    }

    private bool TryReadSize(ref SshReader reader)
    {
        if (!reader.TryReadUInt32(out var columns) || !reader.TryReadUInt32(out var rows) || !reader.TryReadUInt32(out _) || !reader.TryReadUInt32(out _))
        {
            return false;
        }

        // Zero means "not known": keep what was. The target gets what the user sent in range.
        (Columns, Rows) = (columns is 0 or > MaxSide ? Columns : (int)columns, rows is 0 or > MaxSide ? Rows : (int)rows);
        return true;
    }
}
