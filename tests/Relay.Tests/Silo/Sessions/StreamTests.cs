using System.Net.Sockets;
using System.Security.Cryptography;
using Relay.Protocol.Tunnel;
using Relay.Tests.Silo.Grid;

namespace Relay.Tests.Silo.Sessions;

/// <summary>A session's bytes, from the gateway's stream to the target.</summary>
public sealed class StreamTests(SiloFixture fixture) : IClassFixture<SiloFixture>
{
    private readonly TestSilo _silo = fixture.Silo;

    [Fact]
    public async Task Each_direction_ends_alone_and_loses_nothing()
    {
        using var target = new TargetServer();
        var scene = await LiveSessionScene.OpenAsync(_silo, "gw-1", target.Port);
        await using var stream = await scene.Gateway.StreamAsync(scene.Session);
        using var far = new NetworkStream(await target.AcceptAsync(), ownsSocket: true);
        var (up, down) = (RandomNumberGenerator.GetBytes(3_000_000), RandomNumberGenerator.GetBytes(5_000_000));

        var cancellation = TestContext.Current.CancellationToken;
        var send = Task.Run(async () =>
        {
            await stream.WriteAsync(up, cancellation);
            await stream.CompleteWritesAsync(cancellation);
        }, cancellation);
        Assert.Equal(SHA256.HashData(up), await SHA256.HashDataAsync(far, cancellation));
        await send;

        // The target answers only after it has seen the end.
        var answer = Task.Run(async () =>
        {
            await far.WriteAsync(down, cancellation);
            far.Socket.Shutdown(SocketShutdown.Send);
        }, cancellation);
        Assert.Equal(SHA256.HashData(down), await SHA256.HashDataAsync(stream, cancellation));
        await answer;
        Assert.StartsWith("beside-", await _silo.QueryAsync<string>("SELECT connector_name FROM session WHERE session_id = @Session", new { scene.Session }));
    }

    [Fact]
    public async Task A_target_that_does_not_answer_is_named_and_written_down()
    {
        int port;
        using (var target = new TargetServer())
            port = target.Port;
        var scene = await LiveSessionScene.OpenAsync(_silo, "gw-1", port);
        var error = await Assert.ThrowsAsync<StreamOpenException>(() => scene.Gateway.StreamAsync(scene.Session));
        Assert.Equal(StreamOpenError.Refused, error.Error);
        Assert.Contains("nothing listens there", error.Message, StringComparison.Ordinal);
        Assert.Equal("refused", await _silo.QueryAsync<string>("SELECT metadata->>'error' FROM session_event WHERE session_id = @Session AND type = 'stream'", new { scene.Session }));
    }

    [Fact]
    public async Task The_end_of_a_session_cuts_its_streams()
    {
        using var target = new TargetServer();
        var scene = await LiveSessionScene.OpenAsync(_silo, "gw-1", target.Port);
        await using var stream = await scene.Gateway.StreamAsync(scene.Session);
        using var far = await target.AcceptAsync();
        await stream.WriteAsync(new byte[1234], TestContext.Current.CancellationToken);
        Assert.Equal(1234, await ReceiveAsync(far, 1234));
        var live = _silo.Get<Relay.Silo.Sessions.SessionRegistry>().Find(scene.Session, "gw-1")!;
        await Eventually.TrueAsync(() => (live.BytesUp, live.OpenStreams) == (1234L, 1), "the stream's bytes are counted");
        using (await scene.Gateway.EndAsync(scene.Session, up: 7))
            await Assert.ThrowsAnyAsync<IOException>(async () => await stream.ReadExactlyAsync(new byte[1], TestContext.Current.CancellationToken));
        Assert.Equal(7L, await _silo.QueryAsync<long>("SELECT bytes_up FROM session WHERE session_id = @Session", new { scene.Session }));
    }

    private static async Task<int> ReceiveAsync(Socket socket, int length)
    {
        var (buffer, read) = (new byte[length], 0);
        while (read < length && await socket.ReceiveAsync(buffer.AsMemory(read), TestContext.Current.CancellationToken) is var n and > 0)
            read += n;
        return read;
    }
}
