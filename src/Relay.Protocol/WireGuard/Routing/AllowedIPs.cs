namespace Relay.Protocol.WireGuard;

/// <summary>
/// Whose each inner address is, whitepaper §2: the longest prefix says. Readers take no lock and see a change of one peer at
/// once or not at all; writers need the caller's lock.
/// </summary>
internal sealed class AllowedIPs
{
    private volatile Roots _roots = new(null, null);

    /// <summary>The peer that the address belongs to; null when it is nobody's.</summary>
    public WireGuardPeer? Find(InnerAddress address)
    {
        Roots roots = _roots;
        return AllowedIPsNode.Find(address.IsIPv6 ? roots.IPv6 : roots.IPv4, address);
    }

    /// <summary>The peer that this very prefix belongs to; null when it is nobody's.</summary>
    public WireGuardPeer? OwnerOf(InnerPrefix prefix) => AllowedIPsNode.OwnerOf(prefix.Address.IsIPv6 ? _roots.IPv6 : _roots.IPv4, prefix);

    /// <summary>Gives a peer other prefixes than it had: both in one step for readers.</summary>
    /// <param name="peer">Whose.</param>
    /// <param name="old">What it has; prefixes that are no longer its own are left alone.</param>
    /// <param name="now">What it will have, taken from others where they had it.</param>
    public void Replace(WireGuardPeer peer, ReadOnlySpan<InnerPrefix> old, ReadOnlySpan<InnerPrefix> now)
    {
        (AllowedIPsNode? four, AllowedIPsNode? six) = (_roots.IPv4, _roots.IPv6);
        foreach (InnerPrefix prefix in old)
        {
            if (prefix.Address.IsIPv6) six = AllowedIPsNode.Without(six, prefix, peer);
            else four = AllowedIPsNode.Without(four, prefix, peer);
        }

        foreach (InnerPrefix prefix in now)
        {
            if (prefix.Address.IsIPv6) six = AllowedIPsNode.With(six, prefix, peer);
            else four = AllowedIPsNode.With(four, prefix, peer);
        }

        _roots = new Roots(four, six);
    }

    private sealed record Roots(AllowedIPsNode? IPv4, AllowedIPsNode? IPv6);
}
