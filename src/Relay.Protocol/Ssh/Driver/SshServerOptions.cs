namespace Relay.Protocol.Ssh;

/// <summary>Options of the server role. Shared by all connections; the keys are borrowed.</summary>
public sealed record SshServerOptions
{
    /// <summary>At least one; at most one per key type. The order is the preference.</summary>
    public required IReadOnlyList<SshPrivateKey> HostKeys { get; init; }

    /// <summary>softwareversion of RFC 4253 §4.2: printable US-ASCII without space and minus.</summary>
    public string SoftwareVersion { get; init; } = "Relay_0.1";

    /// <summary>From the first byte to the authenticated user. Default: 30 seconds.</summary>
    public TimeSpan LoginGraceTime { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Failed attempts at which the connection ends. Keys merely offered do not count. Default: 6.</summary>
    public int MaxAuthAttempts { get; init; } = 6;

    /// <summary>
    /// Whatever the connection came through has proven its user already: method "none" (RFC 4252 §5.2) is the authenticator's to judge, which is
    /// otherwise refused unseen. Default: false.
    /// </summary>
    public bool AsksAboutNone { get; init; }

    /// <summary>Channels the peer may have open at a time; more are refused with RESOURCE_SHORTAGE. Default: 128.</summary>
    public int MaxChannels { get; init; } = 128;

    /// <summary>Bytes in one direction after which the keys are renewed. Default: 1 GiB.</summary>
    public long RekeyBytes { get; init; } = 1L << 30;

    /// <summary>Age at which the keys are renewed. Default: one hour.</summary>
    public TimeSpan RekeyInterval { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Names in order of preference; null is the built-in order.</summary>
    public IReadOnlyList<string>? Ciphers { get; init; }

    /// <summary>Key exchange methods in order of preference; null is the built-in order.</summary>
    public IReadOnlyList<string>? KeyExchanges { get; init; }

    /// <summary>Silence after which the peer is asked for a sign of life; three without one end the connection. Zero turns it off. Default: zero.</summary>
    public TimeSpan KeepAliveInterval { get; init; }

    /// <summary>Clock of every deadline here.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;
}
