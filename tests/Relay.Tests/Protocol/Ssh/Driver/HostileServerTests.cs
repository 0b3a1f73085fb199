using System.Text;
using Relay.Protocol.Ssh;

namespace Relay.Tests.Protocol.Ssh.Driver;

/// <summary>Scripted servers against our client: a hostile target harms nobody but its own connection (L32a).</summary>
public sealed class HostileServerTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Endless_greeting_is_cut()
    {
        var (a, b) = MemoryDuplex.Create();
        var connecting = SshConnection.ConnectAsync(a, SshPair.ClientOptions, Token).AsTask();
        try
        {
            for (var i = 0; i < 10_000; i++)
                await b.WriteAsync(Encoding.ASCII.GetBytes("welcome to the endless banner\r\n"), Token);
        }
        catch (IOException)
        {
            // Cut.
        }

        var error = await Assert.ThrowsAsync<SshException>(() => connecting);
        Assert.Equal(SshDisconnectReason.ProtocolVersionNotSupported, error.Reason);
    }

    [Theory]
    [InlineData(SshMessageNumber.UserAuthSuccess)] // before any request
    [InlineData(SshMessageNumber.UserAuthFailure)]
    [InlineData(SshMessageNumber.UserAuthPkOk)]
    [InlineData(SshMessageNumber.ChannelOpen)]
    [InlineData(SshMessageNumber.ServiceRequest)]
    [InlineData(SshMessageNumber.GlobalRequest)]
    public async Task Message_out_of_order_before_the_login(byte number)
    {
        var (server, connecting) = await StartAsync();
        await using var _ = server;
        server.Send(number, 0, 0, 0, 0, 0);
        Assert.Equal(SshDisconnectReason.ProtocolError, await server.DisconnectReasonAsync());
        Assert.Equal(SshDisconnectReason.ProtocolError, (await Assert.ThrowsAsync<SshException>(() => connecting)).Reason);
    }

    [Fact]
    public async Task Endless_EXT_INFO_is_cut()
    {
        var (server, connecting) = await StartAsync();
        await using var _ = server;
        for (var i = 0; i < 3; i++)
            server.Send(SshExtInfo.ToPayload(["ssh-ed25519"]));
        Assert.Equal(SshDisconnectReason.ProtocolError, await server.DisconnectReasonAsync());
        await Assert.ThrowsAsync<SshException>(() => connecting);
    }

    [Fact]
    public async Task Endless_banners_are_cut_and_bounded()
    {
        var (server, connecting) = await StartAsync();
        await using var _ = server;
        await server.ReceiveAsync();
        server.Send(static writer =>
        {
            writer.WriteByte(SshMessageNumber.ServiceAccept);
            writer.WriteString("ssh-userauth");
        });
        server.Transport.EnterAuthentication();
        var text = new string('x', 30_000);
        try
        {
            for (var i = 0; i < 100; i++)
            {
                server.Send(writer =>
                {
                    writer.WriteByte(SshMessageNumber.UserAuthBanner);
                    writer.WriteString(text);
                    writer.WriteString("");
                });
            }

            Assert.Equal(SshDisconnectReason.ProtocolError, await server.DisconnectReasonAsync());
        }
        catch (SshException error) when (error.Reason == SshDisconnectReason.ConnectionLost)
        {
            // The other side is gone already.
        }

        Assert.Equal(SshDisconnectReason.ProtocolError, (await Assert.ThrowsAsync<SshException>(() => connecting)).Reason);
    }

    [Fact]
    public async Task Server_that_hangs_ends_at_the_handshake_timeout()
    {
        var time = new Relay.TestKit.ManualTimeProvider();
        var (a, b) = MemoryDuplex.Create();
        var connecting = SshConnection.ConnectAsync(a, SshPair.ClientOptions with { TimeProvider = time }, Token).AsTask();
        time.Advance(TimeSpan.FromSeconds(20));
        await b.DisposeAsync();
        Assert.Equal("The login took too long.", (await Assert.ThrowsAsync<SshException>(() => connecting)).Message);
    }

    /// <summary>L11: 10,000 replies nobody asked for are dropped, data flows, and the close takes less than a second.</summary>
    [Fact]
    public async Task Unsolicited_replies_are_dropped_and_nothing_blocks()
    {
        var (server, connecting) = await StartAsync();
        await using var _ = server;
        await server.AuthenticateAsync();
        await using var connection = await connecting;
        for (var i = 0; i < 10_000; i++)
            server.Send(i % 2 == 0 ? SshMessageNumber.RequestSuccess : SshMessageNumber.RequestFailure);
        var opening = connection.OpenChannelAsync("session", default, Token).AsTask();
        Assert.Equal(SshMessageNumber.ChannelOpen, (await server.ReceiveAsync()).Span[0]);
        server.Send(static writer => SshChannelMessages.OpenConfirmation(writer, 0, 3, 1 << 20, []));
        for (var i = 0; i < 10_000; i++)
            server.Send(static writer => SshChannelMessages.Short(writer, SshMessageNumber.ChannelSuccess, 0));
        server.Send(static writer =>
        {
            writer.WriteByte(SshMessageNumber.ChannelData);
            writer.WriteUInt32(0);
            writer.WriteString("data");
        });
        var channel = await opening;
        Assert.Equal("data", Encoding.ASCII.GetString((await channel.ReadAsync(Token)).Data.Span));
        // The server reads nothing any more: the close must not wait for it.
        await connection.DisposeAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(60), Token);
    }

    [Fact]
    public async Task Close_of_a_peer_that_does_not_read_is_not_held_up_by_a_blocked_write()
    {
        var (server, connecting) = await StartAsync();
        await using var _ = server;
        await server.AuthenticateAsync();
        await using var connection = await connecting;
        var opening = connection.OpenChannelAsync("session", default, Token).AsTask();
        await server.ReceiveAsync();
        server.Send(static writer => SshChannelMessages.OpenConfirmation(writer, 0, 3, uint.MaxValue, []));
        var channel = await opening;
        var blocked = channel.WriteAsync(new byte[50_000_000], Token).AsTask();
        await connection.DisposeAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(60), Token);
        await Assert.ThrowsAsync<SshChannelClosedException>(() => blocked);
        Assert.Equal(SshChannelEventKind.Closed, (await channel.ReadAsync(Token)).Kind);
    }

    /// <summary>L13: a window of 2^32-1 and adjusts up to it are exact.</summary>
    [Fact]
    public void Window_arithmetic_holds_at_its_end()
    {
        var window = new SshWindow(uint.MaxValue - 1);
        Assert.True(window.TryGrow(1));
        Assert.False(window.TryGrow(1));
        Assert.Equal(uint.MaxValue, window.Available);
        Assert.True(window.TryUse(uint.MaxValue));
        Assert.False(window.TryUse(1));
        Assert.True(window.TryGrow(uint.MaxValue));
    }

    private static async Task<(ScriptedPeer Server, Task<SshConnection> Connecting)> StartAsync()
    {
        var (a, b) = MemoryDuplex.Create();
        var connecting = SshConnection.ConnectAsync(a, SshPair.ClientOptions, Token).AsTask();
        var server = new ScriptedPeer(b, SshRole.Server);
        await server.KeyExchangeAsync();
        return (server, connecting);
    }
}
