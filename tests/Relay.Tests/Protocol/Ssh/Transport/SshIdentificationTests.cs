using System.Text;
using Relay.Protocol.Ssh;

namespace Relay.Tests.Protocol.Ssh.Transport;

public sealed class SshIdentificationTests
{
    [Theory]
    [InlineData("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "SSH-2.0-OpenSSH_9.2p1 Debian-2")]
    [InlineData("SSH-2.0-x\n", "SSH-2.0-x")]
    public void Line_is_read_with_and_without_carriage_return(string line, string expected)
    {
        var reader = new SshIdentificationReader(SshRole.Server);
        Assert.True(reader.TryReadLine(Encoding.ASCII.GetBytes(line + "rest"), out var consumed, out var version));
        Assert.Equal(line.Length, consumed);
        Assert.Equal(expected, version);
    }

    [Fact]
    public void Every_prefix_of_a_good_line_asks_for_more()
    {
        const string Line = "SSH-2.0-client\r\n";
        for (var length = 0; length < Line.Length; length++)
        {
            var reader = new SshIdentificationReader(SshRole.Server);
            Assert.False(reader.TryReadLine(Encoding.ASCII.GetBytes(Line[..length]), out var consumed, out _));
            Assert.Equal(0, consumed);
        }
    }

    [Theory]
    [InlineData("GET / HTTP/1.1\r\n")]
    [InlineData("SSH-1.5-old\r\n")]
    [InlineData("SSH-1.99-both\r\n")]
    [InlineData("SSH-3.0-new\r\n")]
    [InlineData("\r\n")]
    [InlineData("\u0016\u0003\u0001")]
    [InlineData("SSH-2.0-a\u0000b\r\n")]
    [InlineData("SSH-2.0-a\u001bb\r\n")]
    public void Client_that_does_not_speak_SSH_2_is_refused(string line)
    {
        var reader = new SshIdentificationReader(SshRole.Server);
        var error = Assert.Throws<SshException>(() => reader.TryReadLine(Encoding.Latin1.GetBytes(line), out _, out _));
        Assert.Equal(SshDisconnectReason.ProtocolVersionNotSupported, error.Reason);
    }

    [Fact]
    public void Line_of_255_bytes_is_the_longest()
    {
        var longest = "SSH-2.0-" + new string('x', 245) + "\r\n";
        Assert.Equal(255, longest.Length);
        Assert.True(new SshIdentificationReader(SshRole.Server).TryReadLine(Encoding.ASCII.GetBytes(longest), out _, out _));
        var error = Assert.Throws<SshException>(() =>
            new SshIdentificationReader(SshRole.Server).TryReadLine(Encoding.ASCII.GetBytes("SSH-2.0-" + new string('x', 248)), out _, out _));
        Assert.Equal(SshDisconnectReason.ProtocolVersionNotSupported, error.Reason);
    }

    [Fact]
    public void Server_may_greet_with_some_lines_but_not_for_ever()
    {
        var reader = new SshIdentificationReader(SshRole.Client);
        for (var i = 0; i < SshLimits.LinesBeforeIdentification; i++)
        {
            Assert.True(reader.TryReadLine("Welcome\r\n"u8, out _, out var none));
            Assert.Null(none);
        }

        Assert.True(reader.TryReadLine("SSH-1.99-x\r\n"u8, out _, out var version));
        Assert.Equal("SSH-1.99-x", version);
        Assert.Throws<SshException>(() => reader.TryReadLine("Welcome\r\n"u8, out _, out _));
    }

    [Fact]
    public void Greeting_without_line_end_is_cut_at_its_bound()
    {
        var reader = new SshIdentificationReader(SshRole.Client);
        Assert.False(reader.TryReadLine(new byte[SshLimits.BytesBeforeIdentification - 1], out _, out _));
        Assert.Throws<SshException>(() => reader.TryReadLine(new byte[SshLimits.BytesBeforeIdentification], out _, out _));
    }
}
