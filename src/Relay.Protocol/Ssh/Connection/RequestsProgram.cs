namespace Relay.Protocol.Ssh;

/// <summary>Payload of "env", RFC 4254 §6.4: string name, string value. Which names are taken is the caller's list (L20).</summary>
/// <param name="Name">At most 256 bytes of UTF-8; untrusted.</param>
/// <param name="Value">At most 32 KiB of UTF-8; untrusted.</param>
public sealed record SshEnvironmentRequest(string Name, string Value)
{
    /// <summary>Name of the request.</summary>
    public const string RequestType = "env";
    private const int MaximumName = 256;
    private const int MaximumValue = 32 * 1024;

    /// <summary>False: malformed, over the bounds, or with a NUL.</summary>
    public static bool TryParse(ReadOnlySpan<byte> payload, out SshEnvironmentRequest request)
    {
        request = new("", "");
        var reader = new SshReader(payload);
        if (!reader.TryReadText(MaximumName, out var name) || !reader.TryReadText(MaximumValue, out var value) || !reader.IsAtEnd
            || name.Contains('\0') || value.Contains('\0'))
        {
            return false;
        }

        request = new(name, value);
        return true;
    }

    /// <summary>The payload.</summary>
    public byte[] ToPayload() => SshPayload.Strings(Name, Value);
}

/// <summary>Payload of "exec", RFC 4254 §6.5: string command.</summary>
/// <param name="Command">
/// At most 128 KiB. The bytes are not always UTF-8: bytes that are not come as Latin-1 text and go out the same way, so
/// that <see cref="CommandBytes"/> is always what the peer sent.
/// </param>
public sealed record SshExecRequest(string Command)
{
    /// <summary>Name of the request.</summary>
    public const string RequestType = "exec";
    private const int MaximumCommand = 128 * 1024;

    /// <summary>The command as it came; UTF-8 of <see cref="Command"/> when made here.</summary>
    public ReadOnlyMemory<byte> CommandBytes { get; init; } = System.Text.Encoding.UTF8.GetBytes(Command);

    /// <summary>False: malformed, over the bound, or with a NUL.</summary>
    public static bool TryParse(ReadOnlySpan<byte> payload, out SshExecRequest request)
    {
        request = new("");
        var reader = new SshReader(payload);
        if (!reader.TryReadString(MaximumCommand, out var command) || !reader.IsAtEnd || command.Contains((byte)0))
            return false;
        var encoding = System.Text.Unicode.Utf8.IsValid(command) ? System.Text.Encoding.UTF8 : System.Text.Encoding.Latin1;
        request = new(encoding.GetString(command)) { CommandBytes = command.ToArray() };
        return true;
    }

    /// <summary>The payload.</summary>
    public byte[] ToPayload() => SshPayload.Bytes(CommandBytes.Span);
}

/// <summary>Payload of "subsystem", RFC 4254 §6.5: string name.</summary>
/// <param name="Name">"sftp" and the like; at most 256 bytes of UTF-8.</param>
public sealed record SshSubsystemRequest(string Name)
{
    /// <summary>Name of the request.</summary>
    public const string RequestType = "subsystem";
    private const int MaximumName = 256;

    /// <summary>False: malformed or over the bound.</summary>
    public static bool TryParse(ReadOnlySpan<byte> payload, out SshSubsystemRequest request)
    {
        request = new("");
        var reader = new SshReader(payload);
        if (!reader.TryReadText(MaximumName, out var name) || !reader.IsAtEnd)
            return false;
        request = new(name);
        return true;
    }

    /// <summary>The payload.</summary>
    public byte[] ToPayload() => SshPayload.Strings(Name);
}
