namespace Relay.Protocol.Ssh;

/// <summary>
/// Type data of CHANNEL_OPEN "direct-tcpip" and "forwarded-tcpip", RFC 4254 §7.2: string host, uint32 port, string
/// originator address, uint32 originator port.
/// </summary>
/// <param name="Host">Name or address to connect to (or that was connected to); at most 255 bytes of UTF-8; untrusted.</param>
/// <param name="Port">0 to 65535; larger numbers do not parse.</param>
/// <param name="OriginatorAddress">Where the connection came from, as the peer says; at most 255 bytes of UTF-8.</param>
/// <param name="OriginatorPort">0 to 65535.</param>
public sealed record SshTcpipOpen(string Host, int Port, string OriginatorAddress, int OriginatorPort)
{
    /// <summary>Channel type of a connection the client asks the server to make.</summary>
    public const string Direct = "direct-tcpip";

    /// <summary>Channel type of a connection that came to a port the client asked the server to listen on.</summary>
    public const string Forwarded = "forwarded-tcpip";
    private const int MaximumHost = 255;

    /// <summary>False: malformed or over the bounds.</summary>
    public static bool TryParse(ReadOnlySpan<byte> typeData, out SshTcpipOpen open)
    {
        open = new("", 0, "", 0);
        var reader = new SshReader(typeData);
        if (!reader.TryReadText(MaximumHost, out var host) || !reader.TryReadUInt32(out var port) || port > ushort.MaxValue
            || !reader.TryReadText(MaximumHost, out var address) || !reader.TryReadUInt32(out var from) || from > ushort.MaxValue || !reader.IsAtEnd)
        {
            return false;
        }

        open = new(host, (int)port, address, (int)from);
        return true;
    }

    /// <summary>The type data.</summary>
    public byte[] ToTypeData()
    {
        using var writer = new SshWriter();
        writer.WriteString(Host);
        writer.WriteUInt32((uint)Port);
        writer.WriteString(OriginatorAddress);
        writer.WriteUInt32((uint)OriginatorPort);
        return writer.ToArray();
    }
}

/// <summary>
/// Data of the global requests "tcpip-forward" and "cancel-tcpip-forward", RFC 4254 §7.1: string address to bind, uint32
/// port.
/// </summary>
/// <param name="Address">"" all protocols, "0.0.0.0", "::", "localhost", or an address; at most 255 bytes of UTF-8.</param>
/// <param name="Port">0 to 65535; 0 asks the server to choose.</param>
public sealed record SshTcpipForward(string Address, int Port)
{
    /// <summary>Name of the request.</summary>
    public const string RequestType = "tcpip-forward";

    /// <summary>Name of the request that ends it.</summary>
    public const string CancelRequestType = "cancel-tcpip-forward";
    private const int MaximumHost = 255;

    /// <summary>False: malformed or over the bounds.</summary>
    public static bool TryParse(ReadOnlySpan<byte> data, out SshTcpipForward forward)
    {
        forward = new("", 0);
        var reader = new SshReader(data);
        if (!reader.TryReadText(MaximumHost, out var address) || !reader.TryReadUInt32(out var port) || port > ushort.MaxValue || !reader.IsAtEnd)
            return false;
        forward = new(address, (int)port);
        return true;
    }

    /// <summary>The data.</summary>
    public byte[] ToData()
    {
        using var writer = new SshWriter();
        writer.WriteString(Address);
        writer.WriteUInt32((uint)Port);
        return writer.ToArray();
    }
}
