using System.Collections.Frozen;
using System.Net;
using Relay.Policy;
using Relay.Protocol.Ssh;

namespace Relay.Silo.Snapshots;

/// <summary>A user as decisions see them.</summary>
/// <param name="Groups">Ids ("D" form) and display names: policies may use either.</param>
internal sealed record OrgUser(Guid Id, string Email, string Role, IReadOnlySet<string> Groups)
{
    public bool IsAdministrator => Role == "admin";

    public Subject Subject { get; } = new(Id, Email, Groups, ServiceAccount: null);
}

/// <summary>A socket as decisions and sessions see it.</summary>
/// <param name="Target">Null: a kind that this version does not serve.</param>
/// <param name="SealedSecrets">Stays sealed in memory; null: none stored.</param>
/// <param name="HostKeys">Accepted host keys, OpenSSH lines; empty: none pinned yet.</param>
internal sealed record OrgSocket(SocketFacts Facts, SocketTarget? Target, byte[]? SealedSecrets, IReadOnlyList<string> HostKeys, bool RecordingEnabled, IReadOnlyList<OrgConnector> Connectors)
{
    public Guid Id => Facts.Id;

    public string Name => Facts.Name;

    /// <summary>Where WireGuard devices of its organization reach it, at most one of each family.</summary>
    public IReadOnlyList<IPAddress> Addresses { get; init; } = [];

    /// <summary>
    /// Whether a user who asks for that destination means what a raw TCP socket leads to: its name, or its DNS name, and one of its
    /// ports, or 0 for whichever it has.
    /// </summary>
    public bool IsItself(string host, int port)
    {
        var dot = host.IndexOf('.', StringComparison.Ordinal);
        return Target is { Kind: SocketKind.Tcp } && string.Equals(dot > 0 ? host[..dot] : host, Name, StringComparison.OrdinalIgnoreCase)
            && (port == 0 || Target.Hosts.Any(h => h.Port == port));
    }
}

/// <summary>A connector that serves a socket.</summary>
/// <param name="SshHostKey">What it said when it attached, OpenSSH line: the host key of its built-in SSH service. Null: it has none.</param>
internal sealed record OrgConnector(Guid Id, string Name, string? SshHostKey);

/// <summary>A connector's token as the tunnels that were opened with it see it.</summary>
/// <param name="ExpiresAt">Null: never.</param>
internal sealed record OrgConnectorToken(bool Revoked, DateTimeOffset? ExpiresAt);

/// <summary>A WireGuard device that may have a tunnel; one that was revoked is none.</summary>
/// <param name="PublicKey">32 bytes, base64.</param>
/// <param name="Addresses">Inside the tunnel, at most one of each family.</param>
/// <param name="LoginValidUntil">No flow begins from then on, while those there are go on; nothing is written when it comes. Null: never.</param>
/// <param name="SealedPresharedKey">Stays sealed in memory; null: none.</param>
internal sealed record OrgDevice(Guid Id, Guid UserId, string Name, string PublicKey, IReadOnlyList<IPAddress> Addresses, DateTimeOffset? LoginValidUntil, byte[]? SealedPresharedKey);

/// <summary>Everything of one organization that a decision may depend on, at one version. Immutable; swapped whole.</summary>
internal sealed class OrgSnapshot
{
    private static readonly Guid NoSocket = new("00000000-0000-0000-0000-000000000001");

    public required Guid OrganizationId { get; init; }

    public required string Name { get; init; }

    /// <summary>organization.version these facts were read at, in one transaction.</summary>
    public required long Version { get; init; }

    /// <summary>What all of this was made of; the next version shares with this one what is made of the same.</summary>
    public required SnapshotRows Rows { get; init; }

    /// <summary>Signs users' certificates; a plain key, never itself a certificate (L21).</summary>
    public required SshPublicKey UserCa { get; init; }

    public required FrozenDictionary<Guid, OrgUser> Users { get; init; }

    /// <summary>Registered keys: "SHA256:…" to their owner.</summary>
    public required FrozenDictionary<string, Guid> Keys { get; init; }

    public required FrozenDictionary<Guid, OrgSocket> Sockets { get; init; }

    /// <summary>By name, whatever the case.</summary>
    public required FrozenDictionary<string, OrgSocket> SocketsByName { get; init; }

    /// <summary>By the addresses that devices dial; an IPv4 address in its own form.</summary>
    public required FrozenDictionary<IPAddress, OrgSocket> SocketsByAddress { get; init; }

    public required FrozenDictionary<Guid, OrgDevice> Devices { get; init; }

    /// <summary>All tokens of all connectors; one that is not here went with its connector.</summary>
    public required FrozenDictionary<Guid, OrgConnectorToken> ConnectorTokens { get; init; }

    public required CompiledPolicies Policies { get; init; }

    /// <summary>
    /// A socket of that name as policies would see it if it existed. A name that does not exist is judged like one that does,
    /// so that a refusal does not tell which names exist.
    /// </summary>
    public static SocketFacts Phantom(string name) => new(NoSocket, name, "ssh", FrozenDictionary<string, string>.Empty, DefinedUsername: null);
}
