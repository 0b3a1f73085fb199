using Relay.Gateway.Hosting;

namespace Relay.Tests.Gateway.WireGuard;

public sealed class WireGuardOptionsReaderTests
{
    [Fact]
    public void Off_unless_it_has_an_address()
    {
        Assert.True(GatewayOptionsReader.TryRead(["--gateway-token-file", "/t"], _ => null, "host", out var options, out _));
        Assert.Null(options.WireGuard);
        Assert.True(GatewayOptionsReader.TryRead(["--gateway-token-file", "/t", "--wireguard-listen", "[::]:32442", "--wireguard-advertise", "gw.example.com:32442", "--wireguard-mtu", "1300"], _ => null, "host", out options, out _));
        Assert.Equal(("[::]:32442", 1300, "gw.example.com:32442"), (options.WireGuard!.Listen.ToString(), options.WireGuard.Mtu, options.WireGuard.Advertise));
        Assert.Equal(["100.124.100.100", "fd62:6f72:6465:7230::6464"], options.WireGuard.Own.Select(a => a.ToString()));
    }

    [Fact]
    public void Other_resolvers_have_port_53_unless_they_say_so()
    {
        Assert.True(GatewayOptionsReader.TryRead(["--gateway-token-file", "/t", "--wireguard-listen", "[::]:1", "--dns-forward", "192.0.2.53, 192.0.2.54:5353,[2001:db8::53]:54, 2001:db8::54"], _ => null, "host", out var options, out _));
        Assert.Equal(["192.0.2.53:53", "192.0.2.54:5353", "[2001:db8::53]:54", "[2001:db8::54]:53"], options.WireGuard!.DnsForward.Select(r => r.ToString()));
    }

    [Theory]
    [InlineData("--dns-forward", "dns.example.com", "RELAY_DNS_FORWARD")]
    [InlineData("--dns-forward", "53", "RELAY_DNS_FORWARD")]
    [InlineData("--dns-forward", "192.0.2.1,", "RELAY_DNS_FORWARD")]
    [InlineData("--dns-forward", "192.0.2.1,192.0.2.2,192.0.2.3,192.0.2.4,192.0.2.5", "RELAY_DNS_FORWARD")]
    [InlineData("--wireguard-listen", "example.com:1", "RELAY_WIREGUARD_LISTEN")]
    [InlineData("--wireguard-mtu", "1279", "RELAY_WIREGUARD_MTU")]
    [InlineData("--wireguard-advertise", "gw.example.com", "RELAY_WIREGUARD_ADVERTISE")]
    public void A_mistake_is_told(string option, string value, string told)
    {
        Assert.False(GatewayOptionsReader.TryRead(["--gateway-token-file", "/t", "--wireguard-listen", "[::]:1", option, value], _ => null, "host", out _, out var errors));
        Assert.Contains(told, Assert.Single(errors), StringComparison.Ordinal);
    }

    // L27: what would not apply stops the start.
    [Fact]
    public void A_setting_without_an_address_is_told()
    {
        Assert.False(GatewayOptionsReader.TryRead(["--gateway-token-file", "/t", "--wireguard-mtu", "1300"], _ => null, "host", out _, out var errors));
        Assert.Contains("RELAY_WIREGUARD_LISTEN", Assert.Single(errors), StringComparison.Ordinal);
    }
}
