using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Text;
using System.Threading.Channels;
using Microsoft.Extensions.Logging.Abstractions;
using Relay.Gateway.WireGuard;
using Relay.Gateway.WireGuard.Decisions;
using Relay.Gateway.WireGuard.Flows;
using Relay.Protocol.WireGuard;
using Relay.Tests.Protocol.WireGuard;

namespace Relay.Tests.Gateway.WireGuard;

/// <summary>When UDP flows end by themselves, by a clock that the test moves. Devices and resources are addresses of the loopback here.</summary>
public sealed class UdpIdleTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_flow_that_moves_either_way_goes_on_and_ends_when_nothing_has_for_the_idle_time()
    {
        Assert.SkipUnless(NetworkNamespace.IsAvailable, "Needs root.");
        var time = new ManualTimeProvider();
        var clock = new TunnelClock(time);
        var options = new WireGuardOptions
        {
            Listen = new IPEndPoint(IPAddress.Loopback, 0),
            Devices = [IPNetwork.Parse("127.20.0.0/16")],
            Resources = [IPNetwork.Parse("127.21.0.0/16")],
            UdpIdle = TimeSpan.FromSeconds(60),
        };
        using var wireGuard = new WireGuardDevice(new WireGuardDeviceOptions { PrivateKey = Sim.PrivateKey(1), Epoch = clock.Epoch });
        var devices = new DeviceTable(wireGuard, options, clock, NullLogger.Instance);
        await devices.FollowAsync(new OneDevice(), Cancellation);
        var flows = new ScriptedFlows();
        var admission = new FlowAdmission(devices, flows, options, clock, NullLogger.Instance);
        var udp = new UdpFlows(admission, (_, _, _, _) => { });
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        var sweeping = udp.SweepAsync(stop.Token);
        using var device = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        device.Bind(new IPEndPoint(IPAddress.Parse("127.20.0.2"), 0));
        var (from, dialled) = ((IPEndPoint)device.LocalEndPoint!, new IPEndPoint(IPAddress.Parse("127.21.0.1"), 9));

        udp.Take(from, dialled, "first"u8, stop.Token);
        var pipe = await flows.NextAsync();
        Assert.Equal("first", await pipe.TakeAsync());
        time.Advance(TimeSpan.FromSeconds(50));
        await device.SendToAsync("up"u8.ToArray(), dialled, Cancellation);
        Assert.Equal("up", await pipe.TakeAsync());
        time.Advance(TimeSpan.FromSeconds(50));
        pipe.Answers.Writer.TryWrite("down"u8.ToArray());
        var buffer = new byte[100];
        Assert.Equal("down", Encoding.ASCII.GetString(buffer, 0, await device.ReceiveAsync(buffer, Cancellation).AsTask().WaitAsync(s_patience, Cancellation)));
        // The flow looks for another one when it has taken note of this.
        await Eventually.TrueAsync(() => pipe.Looks >= 2, "the flow waits again");
        time.Advance(TimeSpan.FromSeconds(50));
        await device.SendToAsync("still"u8.ToArray(), dialled, Cancellation);
        Assert.Equal("still", await pipe.TakeAsync());
        Assert.False(pipe.Ended.Task.IsCompleted);

        time.Advance(TimeSpan.FromSeconds(70));
        Assert.Equal(new FlowEnd(FlowEndCause.Idle, 12, 4), await pipe.Ended.Task.WaitAsync(s_patience, Cancellation));
        await Eventually.TrueAsync(() => admission.Count(FlowProtocol.Udp) == 0, "the flow has left");
        Assert.True(pipe.IsDisposed);

        // What comes later is another flow.
        udp.Take(from, dialled, "again"u8, stop.Token);
        Assert.Equal("again", await (await flows.NextAsync()).TakeAsync());
        await stop.CancelAsync();
        await sweeping;
        Assert.True(await udp.WaitAsync(s_patience).WaitAsync(s_patience, Cancellation));
    }

    private sealed class OneDevice : IDevices
    {
        public async IAsyncEnumerable<DevicesChange> WatchAsync([EnumeratorCancellation] CancellationToken cancellationToken)
        {
            var device = new UserDevice { Id = Guid.NewGuid(), UserId = Guid.NewGuid(), PublicKey = Sim.PublicKey(2), Addresses = [IPAddress.Parse("127.20.0.2")] };
            yield return new DevicesChange(IsComplete: true, [device], []);
            await Task.CompletedTask;
        }
    }

    /// <summary>Allows every flow.</summary>
    private sealed class ScriptedFlows : IFlows
    {
        private readonly Channel<ScriptedPipe> _opened = Channel.CreateUnbounded<ScriptedPipe>();

        public async Task<ScriptedPipe> NextAsync() => await _opened.Reader.ReadAsync(Cancellation).AsTask().WaitAsync(s_patience, Cancellation);

        public ValueTask<FlowDecision> DecideAsync(FlowRequest request, CancellationToken cancellationToken)
        {
            var pipe = new ScriptedPipe();
            _opened.Writer.TryWrite(pipe);
            return new(FlowDecision.Allow(pipe, pipe.Ended.SetResult, CancellationToken.None));
        }
    }

    private sealed class ScriptedPipe : IDatagramPipe
    {
        private readonly Channel<string> _sent = Channel.CreateUnbounded<string>();
        private int _looks;

        public Channel<byte[]> Answers { get; } = Channel.CreateUnbounded<byte[]>();

        public TaskCompletionSource<FlowEnd> Ended { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public int Looks => Volatile.Read(ref _looks);

        public bool IsDisposed { get; private set; }

        public async Task<string> TakeAsync() => await _sent.Reader.ReadAsync(Cancellation).AsTask().WaitAsync(s_patience, Cancellation);

        public bool TrySend(ReadOnlySpan<byte> datagram) => _sent.Writer.TryWrite(Encoding.ASCII.GetString(datagram));

        public ValueTask<bool> WaitToReceiveAsync(CancellationToken cancellationToken) => Answers.Reader.WaitToReadAsync(cancellationToken);

        public bool TryReceive(Span<byte> buffer, out int length)
        {
            Interlocked.Increment(ref _looks);
            length = 0;
            if (!Answers.Reader.TryRead(out var answer)) return false;
            answer.CopyTo(buffer);
            length = answer.Length;
            return true;
        }

        public ValueTask DisposeAsync()
        {
            IsDisposed = true;
            return ValueTask.CompletedTask;
        }
    }
}
