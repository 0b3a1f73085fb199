using System.Numerics;

namespace Relay.Protocol.WireGuard;

/// <summary>
/// A node of the trie: a prefix, whose it is, and the two halves below it. Immutable: a change makes new nodes from the root
/// down to where it is. A node without an owner has both halves.
/// </summary>
internal sealed class AllowedIPsNode(ulong high, ulong low, int length, WireGuardPeer? owner, AllowedIPsNode? zero, AllowedIPsNode? one)
{
    private readonly ulong _high = high;
    private readonly ulong _low = low;
    private readonly int _length = length;
    private readonly WireGuardPeer? _owner = owner;
    private readonly AllowedIPsNode? _zero = zero;
    private readonly AllowedIPsNode? _one = one;

    /// <summary>The owner of the longest prefix that the address is in; null without one.</summary>
    public static WireGuardPeer? Find(AllowedIPsNode? root, InnerAddress address)
    {
        WireGuardPeer? found = null;
        for (AllowedIPsNode? node = root; node is not null; node = node.Half(address.High, address.Low))
        {
            if (node.CommonWith(address.High, address.Low) < node._length) break;
            if (node._owner is not null) found = node._owner;
            // A full-length prefix has no halves.
            if (node._zero is null && node._one is null) break;
        }

        return found;
    }

    /// <summary>The trie with the prefix, whoever had it before.</summary>
    public static AllowedIPsNode With(AllowedIPsNode? node, InnerPrefix prefix, WireGuardPeer owner)
    {
        (ulong high, ulong low) = (prefix.Address.High, prefix.Address.Low);
        if (node is null) return new AllowedIPsNode(high, low, prefix.Length, owner, null, null);
        int common = Math.Min(Math.Min(node.CommonWith(high, low), node._length), prefix.Length);
        if (common == node._length && common == prefix.Length)
            return new AllowedIPsNode(high, low, common, owner, node._zero, node._one);
        if (common == node._length)
        {
            return Bit(high, low, common)
                ? new AllowedIPsNode(node._high, node._low, common, node._owner, node._zero, With(node._one, prefix, owner))
                : new AllowedIPsNode(node._high, node._low, common, node._owner, With(node._zero, prefix, owner), node._one);
        }

        if (common == prefix.Length)
        {
            return Bit(node._high, node._low, common)
                ? new AllowedIPsNode(high, low, common, owner, null, node)
                : new AllowedIPsNode(high, low, common, owner, node, null);
        }

        // They part before either ends: a node of what they have in common, without an owner.
        var leaf = new AllowedIPsNode(high, low, prefix.Length, owner, null, null);
        (ulong commonHigh, ulong commonLow) = First(high, low, common);
        return Bit(high, low, common)
            ? new AllowedIPsNode(commonHigh, commonLow, common, null, node, leaf)
            : new AllowedIPsNode(commonHigh, commonLow, common, null, leaf, node);
    }

    /// <summary>The trie without the prefix, where it is the owner's; otherwise the same.</summary>
    public static AllowedIPsNode? Without(AllowedIPsNode? node, InnerPrefix prefix, WireGuardPeer owner)
    {
        (ulong high, ulong low) = (prefix.Address.High, prefix.Address.Low);
        if (node is null || prefix.Length < node._length || node.CommonWith(high, low) < node._length) return node;
        if (prefix.Length == node._length)
            return node._owner == owner ? node.Rebuilt(null, node._zero, node._one) : node;
        if (Bit(high, low, node._length))
        {
            AllowedIPsNode? one = Without(node._one, prefix, owner);
            return one == node._one ? node : node.Rebuilt(node._owner, node._zero, one);
        }

        AllowedIPsNode? zero = Without(node._zero, prefix, owner);
        return zero == node._zero ? node : node.Rebuilt(node._owner, zero, node._one);
    }

    /// <summary>The owner of exactly this prefix; null without one.</summary>
    public static WireGuardPeer? OwnerOf(AllowedIPsNode? node, InnerPrefix prefix)
    {
        while (node is not null && node._length < prefix.Length && node.CommonWith(prefix.Address.High, prefix.Address.Low) >= node._length)
            node = node.Half(prefix.Address.High, prefix.Address.Low);
        return node is not null && node._length == prefix.Length && node._high == prefix.Address.High && node._low == prefix.Address.Low ? node._owner : null;
    }

    private static bool Bit(ulong high, ulong low, int index) => index < 64 ? (high >> (63 - index) & 1) != 0 : (low >> (127 - index) & 1) != 0;

    private static (ulong High, ulong Low) First(ulong high, ulong low, int length) => length switch
    {
        0 => (0, 0),
        <= 64 => (high & (ulong.MaxValue << (64 - length)), 0),
        _ => (high, low & (ulong.MaxValue << (128 - length))),
    };

    private AllowedIPsNode? Half(ulong high, ulong low) => _length < 128 && Bit(high, low, _length) ? _one : _zero;

    // Bits in common with an address, 0 to 128; those of IPv4 beyond 32 are zero on both sides.
    private int CommonWith(ulong high, ulong low)
    {
        ulong different = high ^ _high;
        return different != 0 ? BitOperations.LeadingZeroCount(different) : 64 + BitOperations.LeadingZeroCount(low ^ _low);
    }

    private AllowedIPsNode? Rebuilt(WireGuardPeer? newOwner, AllowedIPsNode? newZero, AllowedIPsNode? newOne)
    {
        if (newOwner is null && (newZero is null || newOne is null)) return newZero ?? newOne;
        return new AllowedIPsNode(_high, _low, _length, newOwner, newZero, newOne);
    }
}
