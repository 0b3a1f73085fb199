using System.Net.Sockets;
using Relay.Protocol.Tunnel;

namespace Relay.Tests.Silo.Connectors;

/// <summary>
/// The half-close matrix: each end finishes first or resets, with the connector's tunnel on the silo that opens (1 hop) and on
/// another one (2 hops). Every byte arrives; the end that has not finished goes on.
/// </summary>
public sealed class HalfCloseTests(ConnectorGrid grid) : IClassFixture<ConnectorGrid>
{
    private const int MegaByte = 1024 * 1024;

    public static TheoryData<int> Hops => [1, 2];

    [Theory]
    [MemberData(nameof(Hops))]
    public async Task The_user_finishes_first_and_the_answer_comes_back_whole(int hops)
    {
        await using var path = await OpenPath.CreateAsync(grid, hops);
        var question = TcpTarget.Random(MegaByte, 1);
        var answer = TcpTarget.Random(MegaByte, 2);

        await path.User.WriteAsync(question, TestContext.Current.CancellationToken);
        await path.User.CompleteWritesAsync(TestContext.Current.CancellationToken);
        Assert.Equal(question, await TcpTarget.ReceiveAllAsync(path.Target));

        // The target takes its time: until it answers the user neither reads an end nor an error.
        var waiting = path.User.ReadAsync(Memory<byte>.Empty, TestContext.Current.CancellationToken).AsTask();
        Assert.False(waiting.IsCompleted);
        await TcpTarget.SendAsync(path.Target, answer);
        path.Target.Shutdown(SocketShutdown.Send);
        Assert.Equal(0, await waiting);
        Assert.Equal(answer, await TcpTarget.ReadAllAsync(path.User));
    }

    [Theory]
    [MemberData(nameof(Hops))]
    public async Task The_target_finishes_first_and_what_the_user_sends_later_arrives_whole(int hops)
    {
        await using var path = await OpenPath.CreateAsync(grid, hops);
        var greeting = TcpTarget.Random(MegaByte, 3);
        var later = TcpTarget.Random(10 * MegaByte, 4);

        await TcpTarget.SendAsync(path.Target, greeting);
        path.Target.Shutdown(SocketShutdown.Send);
        Assert.Equal(greeting, await TcpTarget.ReadAllAsync(path.User));

        var received = TcpTarget.ReceiveAllAsync(path.Target);
        await path.User.WriteAsync(later, TestContext.Current.CancellationToken);
        await path.User.CompleteWritesAsync(TestContext.Current.CancellationToken);
        Assert.Equal(later, await received);
    }

    [Theory]
    [MemberData(nameof(Hops))]
    public async Task Both_directions_are_full_at_once(int hops)
    {
        await using var path = await OpenPath.CreateAsync(grid, hops);
        var up = TcpTarget.Random(20 * MegaByte, 5);
        var down = TcpTarget.Random(20 * MegaByte, 6);

        var atTarget = TcpTarget.ReceiveAllAsync(path.Target);
        var atUser = TcpTarget.ReadAllAsync(path.User);
        var sentDown = SendAndFinishAsync(path.Target, down);
        await path.User.WriteAsync(up, TestContext.Current.CancellationToken);
        await path.User.CompleteWritesAsync(TestContext.Current.CancellationToken);
        await sentDown;
        Assert.Equal(up, await atTarget);
        Assert.Equal(down, await atUser);
    }

    [Theory]
    [MemberData(nameof(Hops))]
    public async Task A_reset_by_the_user_reaches_the_target(int hops)
    {
        await using var path = await OpenPath.CreateAsync(grid, hops);
        await path.RoundTripAsync();
        path.User.Abort("test");
        var error = await Assert.ThrowsAsync<SocketException>(() => TcpTarget.ReceiveAllAsync(path.Target));
        Assert.Equal(SocketError.ConnectionReset, error.SocketErrorCode);
    }

    [Theory]
    [MemberData(nameof(Hops))]
    public async Task A_reset_by_the_user_after_its_half_close_reaches_the_target(int hops)
    {
        await using var path = await OpenPath.CreateAsync(grid, hops);
        await path.RoundTripAsync();
        await path.User.CompleteWritesAsync(TestContext.Current.CancellationToken);
        Assert.Empty(await TcpTarget.ReceiveAllAsync(path.Target));
        path.User.Abort("test");

        // Its peer gone, the target's next bytes are refused.
        await Eventually.TrueAsync(() => !TrySend(path.Target), "the target's writes fail");
    }

    [Theory]
    [MemberData(nameof(Hops))]
    public async Task A_reset_by_the_target_reaches_the_user(int hops)
    {
        await using var path = await OpenPath.CreateAsync(grid, hops);
        await path.RoundTripAsync();
        path.Target.LingerState = new LingerOption(true, 0);
        path.Target.Close();
        await Assert.ThrowsAnyAsync<IOException>(() => TcpTarget.ReadAllAsync(path.User));
        await Eventually.TrueAsync(() => path.User.Aborted.IsCancellationRequested, "the stream is aborted");
    }

    [Theory]
    [MemberData(nameof(Hops))]
    public async Task A_target_that_closes_while_the_user_still_sends_loses_nothing_of_its_answer(int hops)
    {
        await using var path = await OpenPath.CreateAsync(grid, hops);
        var answer = TcpTarget.Random(3 * MegaByte, 7);
        var start = new byte[answer.Length - 1000];
        await path.RoundTripAsync();
        await TcpTarget.SendAsync(path.Target, answer);

        // All of it has left the target's machine: bytes in the kernel of a closed socket would be lost on any network.
        await path.User.ReadExactlyAsync(start, TestContext.Current.CancellationToken);
        path.Target.Close();

        // The first of these finds the target's socket closed, a later one the reset.
        await Eventually.TrueAsync(
            () =>
            {
                try
                {
                    return !path.User.WriteAsync(new byte[100], TestContext.Current.CancellationToken).AsTask().Wait(1000, TestContext.Current.CancellationToken);
                }
                catch (AggregateException e) when (e.InnerException is IOException)
                {
                    return true;
                }
            },
            "the user's writes fail");
        byte[] all = [.. start, .. await TcpTarget.ReadAllAsync(path.User)];
        Assert.Equal(answer, all);
    }

    private static async Task SendAndFinishAsync(Socket socket, byte[] data)
    {
        await Task.Yield();
        await TcpTarget.SendAsync(socket, data);
        socket.Shutdown(SocketShutdown.Send);
    }

    private static bool TrySend(Socket socket)
    {
        try
        {
            return socket.Send(new byte[1]) == 1;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
