namespace Relay.Protocol.Ssh;

/// <summary>Payloads that are nothing but strings.</summary>
internal static class SshPayload
{
    public static byte[] Bytes(ReadOnlySpan<byte> value)
    {
        using var writer = new SshWriter(value.Length + 4);
        writer.WriteString(value);
        return writer.ToArray();
    }

    public static byte[] Strings(params ReadOnlySpan<string> values)
    {
        using var writer = new SshWriter();
        foreach (var value in values)
            writer.WriteString(value);
        return writer.ToArray();
    }
}
