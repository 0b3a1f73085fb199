using System.Net;
using Relay.Gateway.WireGuard;
using Relay.Gateway.WireGuard.Tun;

namespace Relay.Tests.Gateway.WireGuard;

public sealed class InnerFilterTests
{
    private static readonly WireGuardOptions s_options = new() { Listen = new IPEndPoint(IPAddress.Any, 0) };

    [Theory]
    [InlineData("100.126.0.1", 6, 0, "Pass")]
    [InlineData("100.126.255.255", 17, 0, "Pass")]
    [InlineData("100.126.0.1", 1, 3, "Pass")]
    [InlineData("100.126.0.1", 1, 8, "Refuse")]
    [InlineData("100.126.0.1", 47, 0, "Refuse")]
    [InlineData("100.127.0.1", 6, 0, "Refuse")]
    [InlineData("127.0.0.1", 6, 0, "Refuse")]
    [InlineData("100.124.0.9", 6, 0, "Drop")]
    [InlineData("100.124.100.100", 17, 0, "Refuse")]
    [InlineData("100.124.100.100", 1, 8, "Refuse")]
    [InlineData("fd62:6f72:6465:7230::6464", 58, 128, "Refuse")]
    [InlineData("224.0.0.1", 17, 0, "Drop")]
    [InlineData("255.255.255.255", 17, 0, "Drop")]
    [InlineData("fd62:6f72:6465:7231::1", 6, 0, "Pass")]
    [InlineData("fd62:6f72:6465:7231::1", 44, 0, "Pass")]
    [InlineData("fd62:6f72:6465:7231::1", 58, 2, "Pass")]
    [InlineData("fd62:6f72:6465:7231::1", 58, 128, "Refuse")]
    [InlineData("fd62:6f72:6465:7230::1", 6, 0, "Drop")]
    [InlineData("fd62:6f72:6465:7232::1", 6, 0, "Refuse")]
    [InlineData("::1", 6, 0, "Refuse")]
    [InlineData("ff02::1", 17, 0, "Drop")]
    public void Only_flows_to_resources_pass(string destination, byte protocol, byte type, string verdict)
    {
        var filter = new InnerFilter(s_options.Devices, s_options.Resources, s_options.Own);
        var address = IPAddress.Parse(destination).GetAddressBytes();
        var six = address.Length == 16;
        var packet = new byte[100];
        packet[0] = (byte)(six ? 0x60 : 0x45);
        packet[six ? 6 : 9] = protocol;
        packet[six ? 40 : 20] = type;
        address.CopyTo(packet, six ? 24 : 16);
        Assert.Equal(verdict, filter.Judge(packet).ToString());
    }

    [Theory]
    [InlineData("100.124.100.100", 17, 53, 0, "Pass")]
    [InlineData("100.124.100.100", 6, 53, 0, "Pass")]
    [InlineData("100.124.100.100", 17, 54, 0, "Refuse")]
    // A piece of a datagram: the first, a later one.
    [InlineData("100.124.100.100", 17, 53, 0x2000, "Refuse")]
    [InlineData("100.124.100.100", 17, 53, 0x0010, "Refuse")]
    [InlineData("100.124.100.101", 17, 53, 0, "Drop")]
    [InlineData("fd62:6f72:6465:7230::6464", 17, 53, 0, "Pass")]
    [InlineData("fd62:6f72:6465:7230::6464", 6, 22, 0, "Refuse")]
    [InlineData("fd62:6f72:6465:7230::6464", 44, 53, 0, "Refuse")]
    public void Of_the_gateways_own_only_the_resolver_is_there(string destination, byte protocol, int port, int fragment, string verdict)
    {
        var filter = new InnerFilter(s_options.Devices, s_options.Resources, s_options.Own);
        var address = IPAddress.Parse(destination).GetAddressBytes();
        var six = address.Length == 16;
        var packet = new byte[100];
        packet[0] = (byte)(six ? 0x60 : 0x45);
        packet[six ? 6 : 9] = protocol;
        if (!six) (packet[6], packet[7]) = ((byte)(fragment >> 8), (byte)fragment);
        packet[(six ? 40 : 20) + 3] = (byte)port;
        address.CopyTo(packet, six ? 24 : 16);
        Assert.Equal(verdict, filter.Judge(packet).ToString());
        Assert.NotEqual(InnerVerdict.Pass, filter.Judge(packet.AsSpan(0, six ? 42 : 22)));
    }

    [Fact]
    public void A_family_without_a_range_has_no_resources()
    {
        var filter = new InnerFilter([IPNetwork.Parse("100.124.0.0/16")], [IPNetwork.Parse("100.126.0.0/16")], []);
        var packet = new byte[60];
        packet[0] = 0x60;
        packet[6] = 6;
        packet.AsSpan(8, 32).Fill(0xfe);
        Assert.Equal(InnerVerdict.Refuse, filter.Judge(packet));
    }
}
