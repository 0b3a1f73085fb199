using System.Security.Cryptography;
using Relay.Protocol.Ssh;
using Relay.Protocol.Tunnel;

namespace Relay.Tests.Protocol.Ssh.Driver;

/// <summary>A channel as a duplex stream: whole bytes, separate ends, and which end is a break.</summary>
public sealed class SshChannelStreamTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Each_direction_ends_alone_and_loses_nothing()
    {
        await using var pair = await SshPair.ConnectAsync(cancellationToken: Cancel);
        var (near, far) = await OpenAsync(pair);
        await using var a = near;
        await using var b = far;
        var (up, down) = (RandomNumberGenerator.GetBytes(3_000_000), RandomNumberGenerator.GetBytes(2_000_001));
        var sending = SendAsync(a, up);
        Assert.Equal(SHA256.HashData(up), await SHA256.HashDataAsync(b, Cancel));
        await sending;
        var answering = SendAsync(b, down);
        Assert.Equal(SHA256.HashData(down), await SHA256.HashDataAsync(a, Cancel));
        await answering;
        Assert.Equal(0, await a.ReadAsync(new byte[1], Cancel));
        Assert.False(a.Aborted.IsCancellationRequested || b.Aborted.IsCancellationRequested);
    }

    [Fact]
    public async Task An_empty_read_waits_until_there_is_something()
    {
        await using var pair = await SshPair.ConnectAsync(cancellationToken: Cancel);
        var (near, far) = await OpenAsync(pair);
        await using var a = near;
        await using var b = far;
        var waiting = b.ReadAsync(Memory<byte>.Empty, Cancel).AsTask();
        Assert.False(waiting.IsCompleted);
        await a.WriteAsync(new byte[3], Cancel);
        Assert.Equal(0, await waiting);
        Assert.Equal(2, await b.ReadAsync(new byte[2], Cancel));
        Assert.Equal(1, await b.ReadAsync(new byte[2], Cancel));
    }

    [Fact]
    public async Task A_close_before_the_end_is_a_break_after_what_came_before_it()
    {
        await using var pair = await SshPair.ConnectAsync(cancellationToken: Cancel);
        var (near, far) = await OpenAsync(pair);
        await using var b = far;
        await near.WriteAsync(new byte[] { 7 }, Cancel);
        near.Abort("enough");
        await Assert.ThrowsAsync<IOException>(async () => await near.ReadExactlyAsync(new byte[1], Cancel));
        Assert.Equal(1, await b.ReadAsync(new byte[10], Cancel));
        await Assert.ThrowsAsync<IOException>(async () => await b.ReadExactlyAsync(new byte[10], Cancel));
        Assert.True(b.Aborted.IsCancellationRequested);
        await Assert.ThrowsAnyAsync<IOException>(async () => await b.WriteAsync(new byte[1], Cancel));
    }

    [Fact]
    public async Task A_peer_that_ends_and_then_closes_takes_nothing_more()
    {
        await using var pair = await SshPair.ConnectAsync(cancellationToken: Cancel);
        var (near, far) = await OpenAsync(pair);
        await using var b = far;
        await near.CompleteWritesAsync(Cancel);
        Assert.Equal(0, await b.ReadAsync(new byte[1], Cancel));
        var broken = new TaskCompletionSource();
        await using var watch = b.Aborted.Register(broken.SetResult);
        await near.DisposeAsync();
        await broken.Task.WaitAsync(TimeSpan.FromSeconds(30), Cancel);
    }

    [Fact]
    public async Task The_end_of_the_connection_is_a_break_with_its_reason_after_what_came_before_it()
    {
        await using var pair = await SshPair.ConnectAsync(cancellationToken: Cancel);
        var (near, far) = await OpenAsync(pair);
        await using var a = near;
        await using var b = far;
        await a.WriteAsync(new byte[5], Cancel);
        await pair.Client.DisconnectAsync(SshDisconnectReason.ByApplication, "the right was lost");
        await pair.Server.Completion.WaitAsync(Cancel);
        Assert.Equal("the right was lost", pair.Server.Ending!.Message);
        Assert.Equal(5, await b.ReadAsync(new byte[10], Cancel));
        var error = await Assert.ThrowsAsync<IOException>(async () => await b.ReadExactlyAsync(new byte[10], Cancel));
        Assert.Equal("the right was lost", error.Message);
    }

    private static async Task<(DuplexStream Near, DuplexStream Far)> OpenAsync(SshPair pair)
    {
        var (near, far) = await pair.OpenAsync("direct-tcpip", Cancel);
        return (new SshChannelStream(near), new SshChannelStream(far));
    }

    private static async Task SendAsync(DuplexStream stream, byte[] data)
    {
        await stream.WriteAsync(data, Cancel);
        await stream.CompleteWritesAsync(Cancel);
    }
}
