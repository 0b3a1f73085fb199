using Relay.Protocol.Grid;
using Relay.Protocol.Ssh;

namespace Relay.Tests.Gateway;

/// <summary>The cost of passing bytes on, with client, gateway, silo link and target all in this process.</summary>
[Collection(nameof(CopyPathTests))]
[CollectionDefinition(nameof(CopyPathTests), DisableParallelization = true)]
public sealed class CopyPathTests
{
    private const int Total = 128 * 1024 * 1024;

    [Fact]
    public async Task Passing_bytes_on_copies_no_packet_into_memory_of_its_own()
    {
        await using var target = new ScriptedTarget(async channel =>
        {
            while ((await channel.ReadAsync()).RequestType != "shell")
            {
            }

            await channel.ReplyAsync(true);
            var block = Enumerable.Repeat((byte)'x', 32 * 1024).ToArray();
            for (var sent = 0; sent < Total; sent += block.Length)
            {
                await channel.WriteAsync(block);
            }

            await channel.SendEofAsync();
            await channel.CloseAsync();
        });
        await using var host = await GatewayHost.StartAsync(withSshd: false);
        host.Recording = new RecordingSettings(Enabled: true, Input: false);
        host.Silo.Target = target.Address;
        host.Silo.Open = _ => host.Allow() with { Upstream = host.Upstream() with { HostKeys = [target.HostKeyLine] } };
        await using var user = await host.ConnectAsync();

        // The first transfer warms pools and code; the second is measured.
        await TransferAsync(user);
        var before = GC.GetTotalAllocatedBytes(precise: true);
        await TransferAsync(user);
        var allocated = GC.GetTotalAllocatedBytes(precise: true) - before;
        TestContext.Current.TestOutputHelper?.WriteLine($"{allocated} bytes allocated for {Total} bytes passed");

        // Some 20 MB, by the pools of sockets, TLS and HTTP/2 of all ends. One copy of each packet anywhere on the way would be 128 MB more.
        Assert.InRange(allocated, 0, 48 * 1024 * 1024);
    }

    private static async Task TransferAsync(SshConnection user)
    {
        var channel = await user.OpenChannelAsync("session", default, GatewayHost.Deadline);
        Assert.True(await channel.SendRequestAsync("shell", true, default, GatewayHost.Deadline));
        long received = 0;
        var deadline = GatewayHost.Deadline;
        SshChannelEvent read;
        while ((read = await channel.ReadAsync(deadline)).Kind != SshChannelEventKind.Closed)
        {
            received += read.Kind == SshChannelEventKind.Data ? read.Data.Length : 0;
        }

        Assert.Equal(Total, received);
    }
}
