using System.Text.Json.Serialization;

namespace Relay.Silo.Snapshots;

/// <summary>What the tables say of one organization at one version, as it travels between silos: mTLS, silos only; secrets stay sealed.</summary>
internal sealed record SnapshotRows
{
    public required HeadRow Head { get; init; }

    /// <summary>Which write changed each part last. Counts only beside the store it was read from: null when it came on another way.</summary>
    [JsonIgnore]
    public IReadOnlyDictionary<string, string>? Stamps { get; init; }

    public required IReadOnlyList<UserRow> Users { get; init; }

    public required IReadOnlyList<MemberRow> Members { get; init; }

    public required IReadOnlyList<KeyRow> Keys { get; init; }

    public required IReadOnlyList<SocketRow> Sockets { get; init; }

    public required IReadOnlyList<SocketConnectorRow> Connectors { get; init; }

    public required IReadOnlyList<TokenRow> Tokens { get; init; }

    public required IReadOnlyList<PolicyRow> Policies { get; init; }

    public required IReadOnlyList<AttachmentRow> Attachments { get; init; }

    /// <summary>Those that are not revoked. Empty from a silo of an older version.</summary>
    public IReadOnlyList<DeviceRow> Devices { get; init => field = value ?? []; } = [];

    internal sealed class HeadRow
    {
        public Guid OrganizationId { get; init; }

        public string Name { get; init; } = "";

        public long Version { get; init; }

        public string UserCaPublic { get; init; } = "";
    }

    internal sealed class UserRow
    {
        public Guid UserId { get; init; }

        public string Email { get; init; } = "";

        public string Role { get; init; } = "";
    }

    internal sealed class MemberRow
    {
        public Guid UserId { get; init; }

        public Guid GroupId { get; init; }

        public string DisplayName { get; init; } = "";
    }

    internal sealed class KeyRow
    {
        public string Fingerprint { get; init; } = "";

        public Guid UserId { get; init; }
    }

    internal sealed class SocketRow
    {
        public Guid SocketId { get; init; }

        public string Name { get; init; } = "";

        public string SocketType { get; init; } = "";

        public string Tags { get; init; } = "";

        public bool RecordingEnabled { get; init; }

        public string Upstream { get; init; } = "";

        public byte[]? UpstreamSecrets { get; init; }

        public string[] HostKeys { get; init; } = [];

        /// <summary>0 from a silo of an older version: no address.</summary>
        public int ResourceIndex { get; init; }
    }

    internal sealed class SocketConnectorRow
    {
        public Guid SocketId { get; init; }

        public Guid ConnectorId { get; init; }

        public string Name { get; init; } = "";

        public string? SshHostKey { get; init; }
    }

    internal sealed class TokenRow
    {
        public Guid TokenId { get; init; }

        public bool Revoked { get; init; }

        public DateTimeOffset? ExpiresAt { get; init; }
    }

    internal sealed class PolicyRow
    {
        public Guid PolicyId { get; init; }

        public string Name { get; init; } = "";

        public bool OrgWide { get; init; }

        public string PolicyData { get; init; } = "";

        public string TagRules { get; init; } = "";

        public DateTimeOffset? ExpiresAt { get; init; }
    }

    internal sealed class AttachmentRow
    {
        public Guid PolicyId { get; init; }

        public Guid SocketId { get; init; }
    }

    internal sealed class DeviceRow
    {
        public Guid DeviceId { get; init; }

        public Guid UserId { get; init; }

        public string Name { get; init; } = "";

        public byte[] PublicKey { get; init; } = [];

        public byte[]? PresharedKey { get; init; }

        public DateTimeOffset? LoginValidUntil { get; init; }

        public int AddressIndex { get; init; }
    }
}

/// <summary>Serializer of <see cref="SnapshotRows"/>: snake_case, unknown fields ignored.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(SnapshotRows))]
internal sealed partial class SnapshotRowsJson : JsonSerializerContext;
