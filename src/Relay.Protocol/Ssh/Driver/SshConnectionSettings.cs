namespace Relay.Protocol.Ssh;

/// <summary>What a connection keeps from its handshake and options.</summary>
internal sealed record SshConnectionSettings(
    string? User,
    string PeerBanner,
    int MaxChannels,
    TimeSpan KeepAliveInterval,
    TimeProvider TimeProvider);
