using System.Net;
using Relay.Protocol.WireGuard;

namespace Relay.Gateway.WireGuard.Decisions;

/// <summary>A user's device that may have a tunnel. Immutable: a change is a new value with the same <see cref="Id"/>.</summary>
internal sealed record UserDevice
{
    public required Guid Id { get; init; }

    /// <summary>Whose it is; the data path only hands it on.</summary>
    public required Guid UserId { get; init; }

    /// <summary>Its static public key, by which it is known. One device has it at a time.</summary>
    public required WireGuardPublicKey PublicKey { get; init; }

    /// <summary>Its addresses inside the tunnel, at most one of each family, within the range of devices.</summary>
    public required IReadOnlyList<IPAddress> Addresses { get; init; }

    /// <summary>Preshared key: 32 bytes, or empty for none. Copied when it is taken.</summary>
    public ReadOnlyMemory<byte> PresharedKey { get; init; }

    /// <summary>
    /// Until when its user counts as logged in. The tunnel outlasts it; whether a flow is still accepted, and what its first bytes then say, is
    /// <see cref="IFlows"/>' to decide.
    /// </summary>
    public DateTimeOffset LoginValidUntil { get; init; } = DateTimeOffset.MaxValue;

    /// <summary>For logs: the identifier, never keys.</summary>
    public override string ToString() => Id.ToString();
}
