using System.Security.Cryptography;
using Relay.Protocol.Crypto;

namespace Relay.Protocol.WireGuard;

/// <summary>An initiation of ours that waits for its response: E and the state after the first message. Under the peer's lock. Disposing wipes both.</summary>
internal sealed class PendingInitiation(WireGuardPeer peer, X25519PrivateKey ephemeral) : IndexedSession(peer), IDisposable
{
    private readonly byte[] _state = GC.AllocateArray<byte>(NoiseState.Length, pinned: true);

    /// <summary>E of the initiator.</summary>
    public X25519PrivateKey Ephemeral { get; } = ephemeral;

    /// <summary>C and H, 64 bytes.</summary>
    public Span<byte> State => _state;

    public void Dispose()
    {
        Ephemeral.Dispose();
        CryptographicOperations.ZeroMemory(_state);
    }
}
