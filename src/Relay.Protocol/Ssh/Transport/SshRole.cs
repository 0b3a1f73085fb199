namespace Relay.Protocol.Ssh;

/// <summary>Which side of the connection this end is.</summary>
internal enum SshRole
{
    Server,
    Client,
}

/// <summary>How far the connection has come. Only ever grows.</summary>
internal enum SshPhase
{
    /// <summary>Waiting for the peer's identification string, RFC 4253 §4.2.</summary>
    Identification,

    /// <summary>First key exchange, until the peer's NEWKEYS.</summary>
    KeyExchange,

    /// <summary>Waiting for the service request (server) or its acceptance (client).</summary>
    Service,

    /// <summary>User authentication, RFC 4252.</summary>
    Authentication,

    /// <summary>Connection protocol, RFC 4254.</summary>
    Connected,
}

/// <summary>Where the current key exchange stands, as seen by what the peer may send next.</summary>
internal enum SshKexStep
{
    /// <summary>No KEXINIT of the peer is outstanding; ours may be on its way.</summary>
    Idle,

    /// <summary>The peer's KEXINIT is here; its KEX_ECDH_INIT or KEX_ECDH_REPLY is awaited.</summary>
    Exchange,

    /// <summary>The exchange is done; its NEWKEYS is awaited.</summary>
    NewKeys,
}
