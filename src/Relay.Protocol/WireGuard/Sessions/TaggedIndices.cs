using System.Buffers.Binary;
using System.Security.Cryptography;
using Relay.Protocol.Crypto;

namespace Relay.Protocol.WireGuard;

// What: session indices of 32 bits that say which peer they are of, to whoever has the private key and to nobody else.
// References: Luby and Rackoff, "How to Construct Pseudorandom Permutations from Pseudorandom Functions" (four rounds); RFC 7693.
// Parameters: tag 16 bits, salt 16 bits, random; round i takes x to the first two bytes of BLAKE2s-MAC(K, i ‖ x); K = HMAC(S_priv, label).
// Failure: none. Every number opens to some tag.

/// <summary>Makes and reads such indices. To others they look like numbers drawn at random, whitepaper §5.4.2. Safe for concurrent use. Caller disposes, which wipes the key.</summary>
internal sealed class TaggedIndices : IDisposable
{
    private const int Rounds = 4;

    private readonly byte[] _key = GC.AllocateArray<byte>(Blake2s.DigestLength, pinned: true);

    /// <param name="privateKey">32 bytes; not kept.</param>
    public TaggedIndices(ReadOnlySpan<byte> privateKey) => Blake2s.ForThread.Hmac(privateKey, "relay wireguard session index"u8, [], _key);

    /// <summary>The index of this tag and salt; another one for each pair.</summary>
    public uint Seal(ushort tag, ushort salt)
    {
        (uint left, uint right) = (salt, tag);
        for (var i = 0; i < Rounds; i++) (left, right) = (right, left ^ Round(i, right));
        return (left << 16) | right;
    }

    /// <summary>The tag of an index.</summary>
    public ushort Open(uint index)
    {
        (uint left, uint right) = (index >> 16, index & 0xffff);
        for (var i = Rounds - 1; i >= 0; i--) (left, right) = (right ^ Round(i, left), left);
        return (ushort)right;
    }

    public void Dispose() => CryptographicOperations.ZeroMemory(_key);

    private uint Round(int round, uint half)
    {
        Span<byte> mac = stackalloc byte[Blake2s.MacLength];
        Blake2s.ForThread.Mac(_key, [(byte)round, (byte)(half & 0xff), (byte)(half >> 8)], mac);
        return BinaryPrimitives.ReadUInt16LittleEndian(mac);
    }
}
