using Relay.Protocol.Ssh;

namespace Relay.Tests.Protocol.Ssh.Connection;

public sealed class SshRequestsTests
{
    [Fact]
    public void Every_payload_comes_back()
    {
        Assert.True(SshPtyRequest.TryParse(new SshPtyRequest("xterm", 80, 24, 1, 2, new byte[] { 53, 0, 0, 0, 1, 0 }).ToPayload(), out var pty));
        Assert.Equal(("xterm", 80u, 24u, 1u, 2u), (pty.Terminal, pty.Columns, pty.Rows, pty.PixelWidth, pty.PixelHeight));
        Assert.Equal([((byte)53, 1u)], pty.ReadModes());
        Assert.True(SshWindowChange.TryParse(new SshWindowChange(1, 2, 3, 4).ToPayload(), out var change));
        Assert.Equal(new(1, 2, 3, 4), change);
        Assert.True(SshEnvironmentRequest.TryParse(new SshEnvironmentRequest("LANG", "de").ToPayload(), out var variable));
        Assert.Equal(new("LANG", "de"), variable);
        Assert.True(SshExecRequest.TryParse(new SshExecRequest("echo ä").ToPayload(), out var exec));
        Assert.Equal("echo ä", exec.Command);
        Assert.True(SshSubsystemRequest.TryParse(new SshSubsystemRequest("sftp").ToPayload(), out var subsystem));
        Assert.Equal("sftp", subsystem.Name);
        Assert.True(SshSignalRequest.TryParse(new SshSignalRequest("INT").ToPayload(), out var signal));
        Assert.Equal("INT", signal.Name);
        Assert.True(SshExitStatus.TryParse(new SshExitStatus(uint.MaxValue).ToPayload(), out var status));
        Assert.Equal(uint.MaxValue, status.Status);
        Assert.True(SshExitSignal.TryParse(new SshExitSignal("SEGV", true, "bad").ToPayload(), out var killed));
        Assert.Equal(new("SEGV", true, "bad"), killed);
        Assert.True(SshTcpipOpen.TryParse(new SshTcpipOpen("::1", 65535, "127.0.0.1", 0).ToTypeData(), out var open));
        Assert.Equal(new("::1", 65535, "127.0.0.1", 0), open);
        Assert.True(SshTcpipForward.TryParse(new SshTcpipForward("", 0).ToData(), out var forward));
        Assert.Equal(new("", 0), forward);
    }

    [Fact]
    public void Command_that_is_no_UTF8_keeps_its_bytes()
    {
        byte[] command = [0xff, (byte)'l', (byte)'s', 0xe4];
        Assert.True(SshExecRequest.TryParse(SshPayload.Bytes(command), out var exec));
        Assert.Equal(command, exec.CommandBytes.ToArray());
        Assert.Equal(SshPayload.Bytes(command), exec.ToPayload());
    }

    [Theory]
    [InlineData(new byte[0])]
    [InlineData(new byte[] { 0, 0, 0 })]
    [InlineData(new byte[] { 0xff, 0xff, 0xff, 0xff })]
    [InlineData(new byte[] { 0, 0, 0, 9, 1, 2 })]
    public void Truncated_payloads_are_refused_by_all(byte[] payload)
    {
        Assert.False(SshPtyRequest.TryParse(payload, out _));
        Assert.False(SshWindowChange.TryParse(payload, out _));
        Assert.False(SshEnvironmentRequest.TryParse(payload, out _));
        Assert.False(SshExecRequest.TryParse(payload, out _));
        Assert.False(SshSubsystemRequest.TryParse(payload, out _));
        Assert.False(SshSignalRequest.TryParse(payload, out _));
        Assert.False(SshExitSignal.TryParse(payload, out _));
        Assert.False(SshTcpipOpen.TryParse(payload, out _));
        Assert.False(SshTcpipForward.TryParse(payload, out _));
    }

    [Fact]
    public void Ports_over_65535_and_NUL_in_commands_are_refused()
    {
        var payload = new SshTcpipOpen("db", 65535, "a", 1).ToTypeData();
        payload[7] = 1; // port 65535 + 65536 · 1, in the byte above its two
        Assert.False(SshTcpipOpen.TryParse(payload, out _));
        Assert.False(SshExecRequest.TryParse(SshPayload.Bytes("a\0b"u8), out _));
        Assert.False(SshEnvironmentRequest.TryParse(new SshEnvironmentRequest("A\0", "b").ToPayload(), out _));
    }
}
