namespace Relay.Tests.Gateway.WireGuard;

/// <summary>What the gateway leaves in the kernel, and when.</summary>
public sealed class KernelSetupTests
{
    [Fact]
    public async Task A_stop_takes_everything_back()
    {
        await using var site = await TunnelSite.StartAsync();
        Assert.Equal((1, 1, 1, 1), await CountAsync(site));
        site.Host.Signal(15);
        Assert.Equal(0, await site.Host.WaitForExitAsync());
        Assert.Equal((0, 0, 0, 0), await CountAsync(site));
        Assert.Empty(await RoutesAsync(site));
    }

    [Fact]
    public async Task A_killed_gateways_successor_has_one_of_everything()
    {
        await using var site = await TunnelSite.StartAsync();
        site.ServeEcho();
        var client = await site.AddClientAsync();
        await using (var stream = await client.ConnectAsync(TunnelSite.Resource, TunnelSite.EchoPort)) await stream.WriteAsync("x"u8.ToArray(), TestContext.Current.CancellationToken);
        var key = site.PublicKey;
        for (var i = 0; i < 3; i++)
        {
            site.Host.Signal(9);
            await site.Host.WaitForExitAsync();
            await site.StartHostAsync();
        }

        Assert.Equal(key, site.PublicKey);
        Assert.Equal((1, 1, 1, 1), await CountAsync(site));
        Assert.Equal(2, (await RoutesAsync(site)).Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        // And it works: the device's own time-out makes its next handshake.
        await site.TellAsync($"device {client.Id} {client.PublicKey} {client.Address},{client.Address6}");
        await using var again = await client.ConnectAsync(TunnelSite.Resource, TunnelSite.EchoPort);
        await again.WriteAsync("x"u8.ToArray(), TestContext.Current.CancellationToken);
        Assert.Equal(1, await again.ReadAsync(new byte[1], TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task A_second_gateway_says_that_the_interface_is_taken_and_touches_nothing()
    {
        await using var site = await TunnelSite.StartAsync();
        using var folder = new TempDir();
        await using var second = site.Network.Start("second", RelayPrograms.WireGuardHost, ["[::]:0", folder.File("key")]);
        var off = await second.WaitForMessageAsync("wireguard is off");
        Assert.Contains("another process", off.GetProperty("reason").GetString(), StringComparison.Ordinal);
        Assert.Equal((1, 1, 1, 1), await CountAsync(site));
    }

    [Fact]
    public async Task Without_the_capability_it_says_so()
    {
        Assert.SkipUnless(TunnelSite.IsAvailable, "Needs root, /dev/net/tun, nft, wireguard-go and wg.");
        await using var network = await NetworkNamespace.CreateAsync();
        using var folder = new TempDir();
        await using var host = network.Start("gateway", "setpriv", ["--bounding-set", "-net_admin", "--inh-caps", "-net_admin", RelayPrograms.WireGuardHost, "[::]:0", folder.File("key")]);
        var off = await host.WaitForMessageAsync("wireguard is off");
        Assert.Contains("CAP_NET_ADMIN", off.GetProperty("reason").GetString(), StringComparison.Ordinal);
        Assert.False(host.HasExited);
    }

    [Fact]
    public async Task No_other_capability_is_needed()
    {
        Assert.SkipUnless(TunnelSite.IsAvailable, "Needs root, /dev/net/tun, nft, wireguard-go and wg.");
        await using var network = await NetworkNamespace.CreateAsync();
        using var folder = new TempDir();
        await using var host = network.Start("gateway", "setpriv", ["--bounding-set", "-all,+net_admin", "--inh-caps", "-all", RelayPrograms.WireGuardHost, "[::]:0", folder.File("key")]);
        await host.WaitForMessageAsync("wireguard ready");
    }

    // Interfaces, nft tables, rules of IPv4 and of IPv6.
    private static async Task<(int, int, int, int)> CountAsync(TunnelSite site) => (
        await CountAsync(site, "relay-wg:", "ip", "-o", "link"),
        await CountAsync(site, "table inet relay_wg", "nft", "list", "tables"),
        await CountAsync(site, "lookup 32442", "ip", "-4", "rule"),
        await CountAsync(site, "lookup 32442", "ip", "-6", "rule"));

    private static async Task<int> CountAsync(TunnelSite site, string what, string file, params string[] arguments) =>
        (await site.Network.RunAsync(file, arguments)).Text.Split('\n').Count(l => l.Contains(what, StringComparison.Ordinal));

    // Not an error when the table does not exist.
    private static async Task<string> RoutesAsync(TunnelSite site) =>
        (await site.Network.RunAsync("bash", "-c", "ip -4 route show table 32442 2>/dev/null || true")).Text;
}
