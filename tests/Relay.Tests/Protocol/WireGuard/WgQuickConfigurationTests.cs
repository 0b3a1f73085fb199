using System.Net;
using Relay.Protocol.WireGuard;

namespace Relay.Tests.Protocol.WireGuard;

public sealed class WgQuickConfigurationTests
{
    private static readonly string s_private = Convert.ToBase64String(Sim.PrivateKey(1));
    private static readonly string s_peer = Sim.PublicKey(2).ToString();
    private static readonly string s_psk = Convert.ToBase64String(Sim.PrivateKey(3));

    private static string Full => $"""
        [Interface]
        PrivateKey = {s_private}
        Address = 100.124.0.7/32, fd62:6f72:6465:7230::7/128
        DNS = 100.124.100.100, relay.internal
        ListenPort = 51820
        MTU = 1420
        PostUp = echo mine

        [Peer]
        PublicKey = {s_peer}
        PresharedKey = {s_psk}
        AllowedIPs = 100.126.0.0/16, fd62:6f72:6465:7231::/64
        Endpoint = gateway.example.com:51820
        PersistentKeepalive = 25

        """;

    [Fact]
    public void What_is_read_is_written_again()
    {
        using var read = WgQuickConfiguration.Parse(Full);
        Assert.Equal(Full, read.ToString());
        Assert.Equal(Sim.PrivateKey(1), read.PrivateKey);
        Assert.Equal(["100.124.0.7/32", "fd62:6f72:6465:7230::7/128"], read.Addresses.Select(static a => a.ToString()));
        Assert.Equal([IPAddress.Parse("100.124.100.100")], read.DnsServers);
        Assert.Equal(["relay.internal"], read.DnsDomains);
        Assert.Equal((51820, 1420), (read.ListenPort, read.Mtu));
        var peer = Assert.Single(read.Peers);
        Assert.Equal(Sim.PublicKey(2), peer.PublicKey);
        Assert.Equal(Sim.PrivateKey(3), peer.PresharedKey);
        Assert.Equal([IPNetwork.Parse("100.126.0.0/16"), IPNetwork.Parse("fd62:6f72:6465:7231::/64")], peer.AllowedIPs);
        Assert.Equal("gateway.example.com:51820", peer.Endpoint);
        Assert.Equal(25, peer.PersistentKeepaliveSeconds);
    }

    [Fact]
    public void Case_comments_repeated_lines_and_bits_beyond_the_length_are_as_wg_takes_them()
    {
        using var read = WgQuickConfiguration.Parse($"""
            # mine
            [interface]
            privatekey={s_private} # secret
            ADDRESS=10.0.0.2
            Address = 10.0.0.3/24

            [PEER]
            PublicKey = {s_peer}
            AllowedIPs = 10.1.2.3/9
            AllowedIPs = fd00::1/16
            Endpoint = [2001:db8::1]:7
            PersistentKeepalive = off
            [Peer]
            PublicKey = {s_psk}
            """);
        Assert.Equal(["10.0.0.2/32", "10.0.0.3/24"], read.Addresses.Select(static a => a.ToString()));
        Assert.Equal(2, read.Peers.Count);
        Assert.Equal([IPNetwork.Parse("10.0.0.0/9"), IPNetwork.Parse("fd00::/16")], read.Peers[0].AllowedIPs);
        Assert.Equal("[2001:db8::1]:7", read.Peers[0].Endpoint);
        Assert.Equal(0, read.Peers[0].PersistentKeepaliveSeconds);
        Assert.Null(read.Peers[1].Endpoint);
    }

    [Theory]
    [InlineData("", "There is no PrivateKey.")]
    [InlineData("[Interface]\nPrivateKey = abc", "Line 2")]
    [InlineData("PrivateKey = abc", "Line 1")]
    [InlineData("[Interface]\nnonsense", "Line 2")]
    [InlineData("[Interface]\nRun = x", "Line 2")]
    [InlineData("[Other]", "Line 1")]
    [InlineData("[Interface]\nAddress = 10.0.0.1/33", "Line 2")]
    [InlineData("[Interface]\nAddress = 10.1/8", "Line 2")]
    [InlineData("[Interface]\nMTU = -1", "Line 2")]
    [InlineData("[Interface]\nListenPort = 65536", "Line 2")]
    [InlineData("[Interface]\nDNS = a;b", "Line 2")]
    [InlineData("[Peer]\nEndpoint = a", "Line 2")]
    [InlineData("[Peer]\nEndpoint = a b:1", "Line 2")]
    [InlineData("[Peer]\nEndpoint = [::1]", "Line 2")]
    [InlineData("[Peer]\nPostUp = x", "Line 2")]
    [InlineData("[Peer]\nAllowedIPs = 0.0.0.0/0", "Line 2")]
    public void Anything_else_is_refused_by_its_line_and_without_its_contents(string text, string where)
    {
        var refused = Assert.Throws<FormatException>(() => WgQuickConfiguration.Parse(text));
        Assert.StartsWith(where, refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("abc", refused.Message, StringComparison.Ordinal);
    }

    // L19: what a server says must not become a line of its own.
    [Fact]
    public void Nothing_can_be_smuggled_into_another_line()
    {
        WgQuickConfiguration With(string? endpoint = null, string? domain = null) => new()
        {
            PrivateKey = Sim.PrivateKey(1),
            DnsDomains = domain is null ? [] : [domain],
            Peers = [new WgQuickPeer { PublicKey = Sim.PublicKey(2), Endpoint = endpoint }],
        };
        foreach (var bad in new[] { "a:1\nPostUp = x", "a\r\n:1", "a:1 # x", "$(x):1", "a", "-\0:1", ":1", "a:0", "" })
            Assert.Throws<FormatException>(() => With(endpoint: bad).ToString());
        foreach (var bad in new[] { "a\nPostUp = x", "a b", "", "~", "a,b", "%i" })
            Assert.Throws<FormatException>(() => With(domain: bad).ToString());
        Assert.Contains("Endpoint = a.b:1\n", With("a.b:1", "~.").ToString(), StringComparison.Ordinal);
        Assert.Throws<FormatException>(() => new WgQuickConfiguration { PrivateKey = new byte[31] }.ToString());
        Assert.Throws<FormatException>(() => new WgQuickConfiguration { PrivateKey = new byte[32], Mtu = 70000 }.ToString());
    }

    [Fact]
    public void Names_of_one_domain_alone_are_a_hook_that_is_quoted()
    {
        WgQuickConfiguration For(string domain) => new()
        {
            PrivateKey = Sim.PrivateKey(1),
            DnsServers = [IPAddress.Parse("100.124.100.100"), IPAddress.Parse("fd62::6464")],
            DnsDomains = [domain],
            SplitDns = true,
        };
        Assert.Contains(
            "\nPostUp = command -v resolvectl > /dev/null && resolvectl dns %i 100.124.100.100 fd62::6464 && resolvectl domain %i '~relay.internal' || true\n",
            For("relay.internal").ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("DNS =", For("relay.internal").ToString(), StringComparison.Ordinal);
        foreach (var bad in new[] { "a'b", "a;b", "a b", "$(x)", "a\nPostUp = x", "" })
            Assert.Throws<FormatException>(() => For(bad).ToString());
    }

    [Fact]
    public void Disposing_wipes_the_keys()
    {
        var read = WgQuickConfiguration.Parse(Full);
        read.Dispose();
        Assert.Equal(new byte[32], read.PrivateKey);
        Assert.Equal(new byte[32], read.Peers[0].PresharedKey);
    }

    // The stock program is the judge of what we write.
    [Fact]
    public async Task The_stock_wg_takes_what_is_written()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/wg-quick"), "Needs wg-quick.");
        using var folder = new TempDir();
        using var read = WgQuickConfiguration.Parse(Full);
        var stripped = await Command.RunAsync("wg-quick", ["strip", folder.Write("wg-test.conf", read.ToString())], cancellationToken: TestContext.Current.CancellationToken);
        Assert.True(stripped.ExitCode == 0, $"{stripped}");
        Assert.Contains($"PublicKey = {s_peer}\n", stripped.Text, StringComparison.Ordinal);
        Assert.Contains("AllowedIPs = 100.126.0.0/16, fd62:6f72:6465:7231::/64\n", stripped.Text, StringComparison.Ordinal);
        Assert.DoesNotContain("Address", stripped.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Public_keys_are_the_text_that_wg_shows()
    {
        Assert.True(WireGuardPublicKey.TryParse(s_peer, out var key));
        Assert.Equal(Sim.PublicKey(2), key);
        Assert.Equal(s_peer, key.ToString());
        foreach (var bad in new[] { "", s_peer[..43], s_peer + "=", s_peer[..20] + "\n" + s_peer[21..], new string('=', 44), s_peer[..42] + "//" })
            Assert.False(WireGuardPublicKey.TryParse(bad, out _));
        Assert.Throws<ArgumentException>(() => new WireGuardPublicKey(new byte[31]));
    }
}
