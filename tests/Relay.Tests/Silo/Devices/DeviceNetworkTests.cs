using System.Net;
using Relay.Silo.Devices;
using Relay.Silo.Hosting;

namespace Relay.Tests.Silo.Devices;

/// <summary>Places in the ranges, and what an operator may write about them.</summary>
public sealed class DeviceNetworkTests
{
    private readonly Dictionary<string, string> _environment = [];

    [Theory]
    [InlineData(1, "100.124.0.1", "fd62:6f72:6465:7230::1")]
    [InlineData(256, "100.124.1.0", "fd62:6f72:6465:7230::100")]
    [InlineData(65534, "100.124.255.254", "fd62:6f72:6465:7230::fffe")]
    [InlineData(65535, "fd62:6f72:6465:7230::ffff")]
    [InlineData(1_000_000, "fd62:6f72:6465:7230::f:4240")]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(DeviceNetwork.OwnIndex)]
    public void A_devices_addresses_are_its_place_in_each_range_that_has_it(int index, params string[] addresses) =>
        Assert.Equal(addresses, DeviceNetwork.Default.OfDevice(index).Select(a => a.ToString()));

    [Fact]
    public void Gateways_and_sockets_have_their_places_too_and_ranges_may_be_others()
    {
        Assert.Equal(["100.124.100.100", "fd62:6f72:6465:7230::6464"], DeviceNetwork.Default.Own.Select(a => a.ToString()));
        Assert.Equal(["100.126.0.7", "fd62:6f72:6465:7231::7"], DeviceNetwork.Default.OfSocket(7).Select(a => a.ToString()));
        // Its own place is in the range of devices only.
        Assert.Equal("100.126.100.100", DeviceNetwork.Default.OfSocket(DeviceNetwork.OwnIndex)[0].ToString());
        Assert.Equal(65534, DeviceNetwork.Default.LastDeviceIndex);

        _environment["RELAY_WIREGUARD_DEVICES"] = "10.0.0.0/8";
        _environment["RELAY_WIREGUARD_RESOURCES"] = "fd00:1::/112 , 172.16.0.0/12";
        _environment["RELAY_NETWORK_SUFFIX"] = "VPN.example.com";
        var network = Read().Network;
        Assert.Equal((16_777_214, "vpn.example.com"), (network.LastDeviceIndex, network.Suffix));
        Assert.Equal("10.1.134.160", Assert.Single(network.OfDevice(100_000)).ToString());
        Assert.Equal(["fd00:1::fffe", "172.16.255.254"], network.OfSocket(65534).Select(a => a.ToString()));
        Assert.Equal("172.17.0.0", Assert.Single(network.OfSocket(65536)).ToString());
        Assert.Equal(IPAddress.Parse("10.0.100.100"), Assert.Single(network.Own));
    }

    [Theory]
    [InlineData("RELAY_WIREGUARD_DEVICES", "100.124.0.0/17", "at least 65536 addresses")]
    [InlineData("RELAY_WIREGUARD_DEVICES", "somewhere", "at least 65536 addresses")]
    [InlineData("RELAY_WIREGUARD_DEVICES", "10.0.0.0/16,10.1.0.0/16", "at most one range of IPv4")]
    [InlineData("RELAY_WIREGUARD_DEVICES", "100.126.0.0/15", "overlaps")]
    [InlineData("RELAY_WIREGUARD_RESOURCES", "fd62::/16", "overlaps")]
    [InlineData("RELAY_WIREGUARD_RESOURCES", "::/0", "at least 65536 addresses")]
    [InlineData("RELAY_NETWORK_SUFFIX", ".relay", "must be a DNS name")]
    [InlineData("RELAY_NETWORK_SUFFIX", "re lay", "must be a DNS name")]
    [InlineData("RELAY_NETWORK_SUFFIX", "relay-", "must be a DNS name")]
    public void A_mistake_is_told_with_what_would_be_right(string variable, string value, string problem)
    {
        _environment[variable] = value;
        Assert.Null(SiloOptionsReader.Read([], _environment.GetValueOrDefault, out var errors));
        Assert.Contains(errors, e => e.Contains(problem, StringComparison.Ordinal) && e.StartsWith("RELAY_", StringComparison.Ordinal));
    }

    private SiloOptions Read()
    {
        var options = SiloOptionsReader.Read([], _environment.GetValueOrDefault, out var errors);
        Assert.Empty(errors);
        return options!;
    }
}
