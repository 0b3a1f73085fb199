using Relay.Gateway.Hosting;

namespace Relay.Tests.Gateway.Hosting;

public sealed class GatewayOptionsReaderTests
{
    [Fact]
    public void Options_win_over_the_environment()
    {
        var environment = new Dictionary<string, string> { ["RELAY_GATEWAY_TOKEN_FILE"] = "/t", ["RELAY_SSH_LISTEN"] = "127.0.0.1:1", ["RELAY_SILOS"] = "a:1, b:2" };
        Assert.True(GatewayOptionsReader.TryRead(["--ssh-listen", "[::]:22", "--gateway-name=edge-1"], environment.GetValueOrDefault, "HOST", out var options, out _));
        Assert.Equal(("/t", "[::]:22", "edge-1"), (options.TokenFile, options.SshListen, options.Name));
        Assert.Equal(["a:1", "b:2"], options.Silos);
    }

    [Fact]
    public void The_host_name_becomes_the_name()
    {
        Assert.True(GatewayOptionsReader.TryRead(["--gateway-token-file", "/t"], _ => null, "Edge_01.Example", out var options, out _));
        Assert.Equal("edge-01.example", options.Name);
    }

    [Fact]
    public void Every_error_is_told_at_once()
    {
        Assert.False(GatewayOptionsReader.TryRead(
            ["--gateway-name", "Bad Name", "--ssh-listen", "example.com:22", "--silos", "nonsense", "--drain-seconds", "-1", "--gateway-http-listen", "x", "--no-such", "y"],
            _ => null, "host", out var options, out var errors));
        Assert.Null(options);
        string[] mentioned = ["--no-such", "y", "RELAY_GATEWAY_TOKEN_FILE", "RELAY_GATEWAY_NAME", "RELAY_SSH_LISTEN", "RELAY_GATEWAY_HTTP_LISTEN", "RELAY_SILOS", "RELAY_GATEWAY_DRAIN_SECONDS"];
        Assert.Equal(mentioned.Length, errors.Count);
        Assert.All(mentioned, m => Assert.Contains(errors, e => e.Contains(m, StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("127.0.0.1:22", true)]
    [InlineData("[::1]:22", true)]
    [InlineData("localhost:0", true)]
    [InlineData("::1:22", false)]
    [InlineData("127.0.0.1", false)]
    [InlineData("127.0.0.1:65536", false)]
    [InlineData("127.0.0.1:+1", false)]
    [InlineData(":22", false)]
    public void Addresses_are_numeric(string text, bool valid) => Assert.Equal(valid, GatewayOptionsReader.TryParseEndPoint(text, out _));
}
