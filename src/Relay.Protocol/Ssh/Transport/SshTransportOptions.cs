namespace Relay.Protocol.Ssh;

/// <summary>What the transport state machine needs to know; built from the server's or client's options.</summary>
internal sealed record SshTransportOptions
{
    public required SshRole Role { get; init; }

    /// <summary>softwareversion of the identification string: printable US-ASCII without space and minus.</summary>
    public string SoftwareVersion { get; init; } = "Relay_0.1";

    /// <summary>Server: one key per algorithm family, in order of preference. Borrowed.</summary>
    public IReadOnlyList<SshPrivateKey> HostKeys { get; init; } = [];

    /// <summary>Client: host key algorithms accepted, in order of preference.</summary>
    public IReadOnlyList<string> HostKeyAlgorithms { get; init; } = SshAlgorithmNames.HostKeys;

    public IReadOnlyList<string> KeyExchanges { get; init; } = SshAlgorithmNames.KeyExchanges;

    public IReadOnlyList<string> Ciphers { get; init; } = SshAlgorithmNames.Ciphers;

    /// <summary>Bytes in one direction after which a new key exchange starts. RFC 4253 §9 recommends a gigabyte.</summary>
    public long RekeyBytes { get; init; } = 1L << 30;

    /// <summary>Age of a key at which a new exchange starts. RFC 4253 §9 recommends an hour.</summary>
    public TimeSpan RekeyInterval { get; init; } = TimeSpan.FromHours(1);

    /// <summary>False only to play an old peer in tests.</summary>
    public bool OfferStrictKeyExchange { get; init; } = true;
}
