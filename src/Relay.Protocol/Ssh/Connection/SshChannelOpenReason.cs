namespace Relay.Protocol.Ssh;

/// <summary>Reason codes of SSH_MSG_CHANNEL_OPEN_FAILURE, RFC 4254 §5.1.</summary>
public enum SshChannelOpenReason : uint
{
    /// <summary>Not a reason of the RFC.</summary>
    None = 0,

    /// <summary>SSH_OPEN_ADMINISTRATIVELY_PROHIBITED.</summary>
    AdministrativelyProhibited = 1,

    /// <summary>SSH_OPEN_CONNECT_FAILED.</summary>
    ConnectFailed = 2,

    /// <summary>SSH_OPEN_UNKNOWN_CHANNEL_TYPE.</summary>
    UnknownChannelType = 3,

    /// <summary>SSH_OPEN_RESOURCE_SHORTAGE.</summary>
    ResourceShortage = 4,
}
