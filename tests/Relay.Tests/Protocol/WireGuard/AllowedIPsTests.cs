using System.Net;
using FsCheck;
using FsCheck.Fluent;
using Relay.Protocol.WireGuard;

namespace Relay.Tests.Protocol.WireGuard;

public sealed class AllowedIPsTests
{
    // Few distinct bits, so that prefixes nest, part and meet.
    private static readonly Gen<InnerPrefix> s_prefix = Gen.Choose(0, 1).SelectMany(
        static family => Gen.Choose(0, family == 0 ? 32 : 128).SelectMany(
            static _ => Gen.Elements<ulong>(0UL, 1, 3, 0x55, 0xff00, 0x8000000000000000, 0xaaaaaaaa00000000, 0xffffffff00000000, 0x0a00000100000000).Two(),
            static (length, bits) => (length, bits)),
        static (family, p) => Prefix(family == 1, p.length, p.bits.Item1, p.bits.Item2));

    [Fact]
    public void Longest_prefix_is_that_of_a_linear_scan_whatever_is_changed()
    {
        using var device = new WireGuardDevice(Sim.Options(1, 0));
        var peers = Enumerable.Range(2, 5).Select(n => device.AddPeer(new() { PublicKey = Sim.PublicKey(n) }, default)!).ToArray();
        var change = Gen.Choose(0, peers.Length - 1).SelectMany(_ => s_prefix.ListOf(4), static (who, prefixes) => (who, prefixes: prefixes.ToArray()));
        Checked.ForAll(change.ArrayOf(12).ToArbitrary(), 300, changes =>
        {
            var trie = new AllowedIPs();
            var oracle = new Dictionary<InnerPrefix, WireGuardPeer>();
            var has = peers.ToDictionary(p => p, _ => Array.Empty<InnerPrefix>());
            foreach (var (who, prefixes) in changes)
            {
                var now = prefixes.Distinct().ToArray();
                // What another peer takes is no longer in the list of who had it.
                foreach (var other in peers)
                    has[other] = other == peers[who] ? has[other] : [.. has[other].Except(now)];
                trie.Replace(peers[who], has[peers[who]], now);
                foreach (var old in has[peers[who]])
                    oracle.Remove(old);
                foreach (var prefix in now)
                    oracle[prefix] = peers[who];
                has[peers[who]] = now;
                foreach (var address in changes.SelectMany(c => c.prefixes).SelectMany(Probes))
                {
                    if (trie.Find(address) != Scan(oracle, address))
                        return false;
                }

                if (changes.SelectMany(c => c.prefixes).Any(p => trie.OwnerOf(p) != oracle.GetValueOrDefault(p)))
                    return false;
            }

            return true;
        });
    }

    [Fact]
    public void A_device_moves_a_prefix_to_who_got_it_last()
    {
        using var device = new WireGuardDevice(Sim.Options(1, 0));
        IPNetwork one = IPNetwork.Parse("10.0.0.0/24"), two = IPNetwork.Parse("fd00::/64"), three = IPNetwork.Parse("10.0.0.7/32");
        var first = device.AddPeer(new() { PublicKey = Sim.PublicKey(2), AllowedIPs = [one, two] }, default)!;
        var second = device.AddPeer(new() { PublicKey = Sim.PublicKey(3), AllowedIPs = [one, three] }, default)!;
        Assert.Equal([two], first.AllowedIPs);
        Assert.Equal(second, device.Route(Inner.IPv4("1.1.1.1", "10.0.0.9", [])));
        Assert.Equal(first, device.Route(Inner.IPv6("::1", "fd00::5", [])));
        Assert.Null(device.Route(Inner.IPv4("1.1.1.1", "10.0.1.9", [])));
        Assert.Null(device.Route([]));

        device.SetAllowedIPs(first, [three]);
        Assert.Equal([one], second.AllowedIPs);
        Assert.Null(device.Route(Inner.IPv6("::1", "fd00::5", [])));
        Assert.Equal(first, device.Route(Inner.IPv4("1.1.1.1", "10.0.0.7", [])));
        Assert.True(device.RemovePeer(first));
        Assert.Equal(second, device.Route(Inner.IPv4("1.1.1.1", "10.0.0.7", [])));
        device.SetAllowedIPs(first, [three]); // too late
        Assert.Equal(second, device.Route(Inner.IPv4("1.1.1.1", "10.0.0.7", [])));
        device.SetAllowedIPs(second, []);
        Assert.Null(device.Route(Inner.IPv4("1.1.1.1", "10.0.0.7", [])));
    }

    [Fact]
    public async Task Readers_see_one_owner_or_the_other_while_writers_change_it()
    {
        using var device = new WireGuardDevice(Sim.Options(1, 0));
        var network = IPNetwork.Parse("10.0.0.0/8");
        WireGuardPeer[] peers = [.. Enumerable.Range(2, 2).Select(n => device.AddPeer(new() { PublicKey = Sim.PublicKey(n), AllowedIPs = [network] }, default)!)];
        var packet = Inner.IPv4("1.1.1.1", "10.9.9.9", []);
        var done = false;
        var reading = Task.Run(() =>
        {
            while (!Volatile.Read(ref done))
            {
                // Each change is one step: there is never nobody.
                if (device.Route(packet) is null)
                    return false;
            }

            return true;
        }, TestContext.Current.CancellationToken);
        for (var i = 0; i < 20_000; i++)
            device.SetAllowedIPs(peers[i & 1], [network]);
        Volatile.Write(ref done, true);
        Assert.True(await reading);
    }

    private static WireGuardPeer? Scan(Dictionary<InnerPrefix, WireGuardPeer> oracle, InnerAddress address) => oracle
        .Where(e => e.Key.Address.IsIPv6 == address.IsIPv6 && Prefix(address.IsIPv6, e.Key.Length, address.High, address.Low) == e.Key)
        .OrderByDescending(e => e.Key.Length).Select(e => e.Value).FirstOrDefault();

    private static IEnumerable<InnerAddress> Probes(InnerPrefix prefix)
    {
        yield return prefix.Address;
        var width = prefix.Address.IsIPv6 ? 128 : 32;
        // Its last address, and the one that differs in the last bit of the prefix.
        var last = prefix.Length == 0 ? UInt128.MaxValue : ~(UInt128.MaxValue << (128 - prefix.Length));
        yield return Xor(prefix.Address, width == 32 ? last & ~(UInt128.MaxValue >> 32) : last);
        if (prefix.Length > 0)
            yield return Xor(prefix.Address, UInt128.One << (128 - prefix.Length));
    }

    private static InnerAddress Xor(InnerAddress address, UInt128 bits) =>
        new(address.High ^ (ulong)(bits >> 64), address.Low ^ (ulong)bits, address.IsIPv6);

    private static InnerPrefix Prefix(bool six, int length, ulong high, ulong low)
    {
        var mask = length == 0 ? 0 : UInt128.MaxValue << (128 - length);
        if (!six)
            mask &= ~(UInt128.MaxValue >> 32);
        return new InnerPrefix(new InnerAddress(high & (ulong)(mask >> 64), low & (ulong)mask, six), length);
    }
}
