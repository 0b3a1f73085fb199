using System.Net.Sockets;

namespace Relay.Tests.Gateway.WireGuard;

/// <summary>The resolver inside the tunnel, asked by the stock dig from a device's namespace.</summary>
public sealed class ResolverTests
{
    private const string Own = "100.124.100.100", Own6 = "fd62:6f72:6465:7230::6464";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Names_are_answered_by_udp_and_tcp_of_both_families_and_others_are_forwarded()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/dig"), "Needs dig (bind9-dnsutils).");
        await using var site = await TunnelSite.StartAsync("dns=5353");
        site.ServeEcho();
        var client = await site.AddClientAsync();
        foreach (var server in (string[])[Own, Own6])
        {
            foreach (var how in (string[])["+notcp", "+tcp", "+noedns"])
            {
                Assert.Equal("100.126.3.4\n", await DigAsync(client, server, how, "+short", "ECHO.relay", "A"));
                Assert.Equal("fd62:6f72:6465:7231::5\n", await DigAsync(client, server, how, "+short", "echo-acme.relay", "AAAA"));
            }
        }

        // The name exists, an address of the family does not; there is no such name; nobody asks a silo for what can be none.
        var none = await DigAsync(client, Own, "four.relay", "AAAA");
        Assert.Contains("status: NOERROR", none, StringComparison.Ordinal);
        Assert.Matches(@"relay\.\s+5\s+IN\s+SOA", none);
        Assert.Contains("flags: qr aa rd ra; QUERY: 1, ANSWER: 0, AUTHORITY: 1", none, StringComparison.Ordinal);
        foreach (var name in (string[])["nothing.relay", "_dns._udp.relay", "a.echo.relay"]) Assert.Contains("status: NXDOMAIN", await DigAsync(client, Own, name, "A"), StringComparison.Ordinal);
        await site.Host.WaitForLineAsync($"resolve {client.Id} nothing");
        Assert.DoesNotContain("_udp", site.Host.Output, StringComparison.Ordinal);
        Assert.Matches(@"relay\.\s+5\s+IN\s+SOA\s+relay\. hostmaster\.relay\.", await DigAsync(client, Own, "relay", "SOA"));
        Assert.Contains("status: REFUSED", await DigAsync(client, Own, "echo.relay", "A", "-c", "CH"), StringComparison.Ordinal);
        foreach (var address in (string[])["100.126.3.4", "fd62:6f72:6465:7231::5"]) Assert.Contains("status: NXDOMAIN", await DigAsync(client, Own, "-x", address), StringComparison.Ordinal);

        // Another name, by the resolver of the gateway's network: too long for UDP once, and then by TCP.
        using (new ScriptedResolver(site.Network))
        {
            Assert.Equal("192.0.2.7\n", await DigAsync(client, Own, "+short", "short.example", "A"));
            var cut = await DigAsync(client, Own, "+ignore", "long.example", "A");
            Assert.Contains("flags: qr tc rd", cut, StringComparison.Ordinal);
            Assert.Contains("ANSWER: 100,", await DigAsync(client, Own, "long.example", "A"), StringComparison.Ordinal);
        }

        // Other ports of that address stay closed; what is dialled by name works.
        using var closed = await client.DialAsync(Own, 54);
        await closed.SendAsync("x"u8.ToArray(), Cancellation);
        var error = await Assert.ThrowsAsync<SocketException>(() => closed.ReceiveAsync(new byte[10], SocketFlags.None, Cancellation).AsTask().WaitAsync(TimeSpan.FromSeconds(40), Cancellation));
        Assert.Equal(SocketError.HostUnreachable, error.SocketErrorCode);
    }

    [Fact]
    public async Task Without_split_dns_other_names_are_refused()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/dig"), "Needs dig (bind9-dnsutils).");
        await using var site = await TunnelSite.StartAsync();
        var client = await site.AddClientAsync();
        Assert.Contains("status: REFUSED", await DigAsync(client, Own, "example.com", "A"), StringComparison.Ordinal);
        Assert.Contains("status: REFUSED", await DigAsync(client, Own6, "+tcp", "example.com", "A"), StringComparison.Ordinal);
    }

    private static async Task<string> DigAsync(TunnelClient client, string server, params string[] arguments) =>
        (await client.Network.RunAsync("dig", ["@" + server, "+time=20", "+tries=2", .. arguments])).Text;
}
