namespace Relay.Protocol.Ssh;

/// <summary>Options of the client role. Keys are borrowed.</summary>
public sealed record SshClientOptions
{
    /// <summary>Login name.</summary>
    public required string User { get; init; }

    /// <summary>Decides about the server's key before anything secret is sent. False ends the connection with HOST_KEY_NOT_VERIFIABLE.</summary>
    public required Func<SshHostKey, CancellationToken, ValueTask<bool>> VerifyHostKey { get; init; }

    /// <summary>Private key; null when only a password is known.</summary>
    public SshPrivateKey? Key { get; init; }

    /// <summary>User certificate for <see cref="Key"/>; tried first.</summary>
    public SshCertificate? Certificate { get; init; }

    /// <summary>Used for "password" and for every prompt of "keyboard-interactive" that is not echoed. Null when none.</summary>
    public string? Password { get; init; }

    /// <summary>Told what the server says before it has logged the user in, as it comes: printable characters and line feeds. Null: nobody listens.</summary>
    public Action<string>? OnBanner { get; init; }

    /// <summary>Host key algorithms in order of preference, certificate forms included; null is the built-in order.</summary>
    public IReadOnlyList<string>? HostKeyAlgorithms { get; init; }

    /// <summary>Names in order of preference; null is the built-in order.</summary>
    public IReadOnlyList<string>? Ciphers { get; init; }

    /// <summary>Key exchange methods in order of preference; null is the built-in order.</summary>
    public IReadOnlyList<string>? KeyExchanges { get; init; }

    /// <summary>softwareversion of RFC 4253 §4.2: printable US-ASCII without space and minus.</summary>
    public string SoftwareVersion { get; init; } = "Relay_0.1";

    /// <summary>From the first byte to the authenticated connection. Default: 20 seconds.</summary>
    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>Channels the server may open to us at a time. Default: 128.</summary>
    public int MaxChannels { get; init; } = 128;

    /// <summary>Bytes in one direction after which the keys are renewed. Default: 1 GiB.</summary>
    public long RekeyBytes { get; init; } = 1L << 30;

    /// <summary>Age at which the keys are renewed. Default: one hour.</summary>
    public TimeSpan RekeyInterval { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Silence after which the peer is asked for a sign of life; three without one end the connection. Zero turns it off. Default: zero.</summary>
    public TimeSpan KeepAliveInterval { get; init; }

    /// <summary>Clock of every deadline here.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;
}
