using Relay.Protocol.Tunnel;

namespace Relay.Tests.Protocol.Tunnel;

public sealed class StreamTargetTests
{
    [Theory]
    [InlineData("tcp db.example:5432", "db.example", 5432, "db.example:5432")]
    [InlineData("tcp 10.0.0.1:22", "10.0.0.1", 22, "10.0.0.1:22")]
    [InlineData("tcp [fd62::1]:65535", "fd62::1", 65535, "[fd62::1]:65535")]
    public void A_tcp_target_reads_as_it_writes(string text, string host, int port, string address)
    {
        Assert.True(StreamTarget.TryParse(text, out var target));
        Assert.Equal((host, port, address, text), (target.Host, target.Port, target.Address, target.ToString()));
        Assert.Equal(target, StreamTarget.Tcp(host, port));
    }

    [Theory]
    [InlineData("udp dns.example:53", "dns.example", 53, "dns.example:53")]
    [InlineData("udp [fd62::1]:65535", "fd62::1", 65535, "[fd62::1]:65535")]
    public void A_udp_target_reads_as_it_writes_and_is_another_one_than_tcp(string text, string host, int port, string address)
    {
        Assert.True(StreamTarget.TryParse(text, out var target));
        Assert.Equal((host, port, address, text, text), (target.Host, target.Port, target.Address, target.ToString(), target.Key));
        Assert.True(target.IsUdp);
        Assert.Equal(target, StreamTarget.Udp(host, port));
        Assert.NotEqual(target, StreamTarget.Tcp(host, port));
        foreach (var other in new[] { target, StreamTarget.Tcp(host, port) })
        {
            Assert.True(StreamTarget.TryParseKey(other.Key, out var read));
            Assert.Equal(other, read);
        }

        Assert.False(StreamTarget.TryParseKey(null, out _));
    }

    [Fact]
    public void The_built_in_service_is_a_target_without_a_host()
    {
        Assert.True(StreamTarget.TryParse("built-in-ssh", out var target));
        Assert.True(target.IsBuiltInSsh);
        Assert.Equal("built-in-ssh", target.ToString());
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("tcp")]
    [InlineData("tcp ")]
    [InlineData("tcp :22")]
    [InlineData("tcp host")]
    [InlineData("tcp host:")]
    [InlineData("tcp host:0")]
    [InlineData("tcp host:65536")]
    [InlineData("tcp host:-1")]
    [InlineData("tcp host:+22")]
    [InlineData("tcp host: 22")]
    [InlineData("tcp ho st:22")]
    [InlineData("tcp fd62::1:22")]
    [InlineData("tcp [fd62::1:22")]
    [InlineData("tcp host$(x):22")]
    [InlineData("udp host")]
    [InlineData("udp :22")]
    [InlineData("udp host:0")]
    [InlineData("sctp host:22")]
    [InlineData("TCP host:22")]
    [InlineData("built-in-ssh ")]
    public void Anything_else_is_not_a_target(string? text) => Assert.False(StreamTarget.TryParse(text, out _));

    [Fact]
    public void A_target_longer_than_any_name_is_refused() =>
        Assert.False(StreamTarget.TryParse($"tcp {new string('a', 400)}:22", out _));

    [Fact]
    public void Every_error_has_a_name_that_reads_back()
    {
        foreach (var error in Enum.GetValues<StreamOpenError>())
            Assert.Equal(error, StreamOpenErrors.Parse(error.ToWire()));
        Assert.Equal(StreamOpenError.Failed, StreamOpenErrors.Parse("no such name"));
        Assert.Equal(StreamOpenError.Failed, StreamOpenErrors.Parse(null));
    }
}
