namespace Relay.Protocol.Ssh;

/// <summary>Payload of "signal", RFC 4254 §6.9: string name without "SIG".</summary>
/// <param name="Name">"INT", "TERM", …; at most 64 characters A–Z, 0–9, and for local ones @, dot and minus.</param>
public sealed record SshSignalRequest(string Name)
{
    /// <summary>Name of the request.</summary>
    public const string RequestType = "signal";

    /// <summary>False: malformed.</summary>
    public static bool TryParse(ReadOnlySpan<byte> payload, out SshSignalRequest request)
    {
        request = new("");
        var reader = new SshReader(payload);
        if (!reader.TryReadText(SshReader.MaximumNameLength, out var name) || !reader.IsAtEnd || name.Length == 0)
            return false;
        request = new(name);
        return true;
    }

    /// <summary>The payload.</summary>
    public byte[] ToPayload() => SshPayload.Strings(Name);
}

/// <summary>Payload of "exit-status", RFC 4254 §6.10: uint32 status. Sent without "want reply".</summary>
/// <param name="Status">Exit code of the program.</param>
public readonly record struct SshExitStatus(uint Status)
{
    /// <summary>Name of the request.</summary>
    public const string RequestType = "exit-status";

    /// <summary>False: malformed.</summary>
    public static bool TryParse(ReadOnlySpan<byte> payload, out SshExitStatus exit)
    {
        exit = default;
        var reader = new SshReader(payload);
        if (!reader.TryReadUInt32(out var status) || !reader.IsAtEnd)
            return false;
        exit = new(status);
        return true;
    }

    /// <summary>The payload.</summary>
    public byte[] ToPayload()
    {
        using var writer = new SshWriter(4);
        writer.WriteUInt32(Status);
        return writer.ToArray();
    }
}

/// <summary>
/// Payload of "exit-signal", RFC 4254 §6.10: string name without "SIG", boolean core dumped, string message, string
/// language. Sent without "want reply".
/// </summary>
/// <param name="Name">"KILL", "SEGV", …</param>
/// <param name="CoreDumped">The program left a core dump.</param>
/// <param name="Message">May be empty; at most 1024 bytes of UTF-8; untrusted.</param>
public sealed record SshExitSignal(string Name, bool CoreDumped, string Message)
{
    /// <summary>Name of the request.</summary>
    public const string RequestType = "exit-signal";
    private const int MaximumMessage = 1024;

    /// <summary>False: malformed or over the bounds.</summary>
    public static bool TryParse(ReadOnlySpan<byte> payload, out SshExitSignal exit)
    {
        exit = new("", false, "");
        var reader = new SshReader(payload);
        if (!reader.TryReadText(SshReader.MaximumNameLength, out var name) || !reader.TryReadBoolean(out var core)
            || !reader.TryReadText(MaximumMessage, out var message) || !reader.TryReadString(out _) || !reader.IsAtEnd)
        {
            return false;
        }

        exit = new(name, core, message);
        return true;
    }

    /// <summary>The payload.</summary>
    public byte[] ToPayload()
    {
        using var writer = new SshWriter();
        writer.WriteString(Name);
        writer.WriteBoolean(CoreDumped);
        writer.WriteString(Message);
        writer.WriteString("");
        return writer.ToArray();
    }
}
