using System.Net;
using Microsoft.Extensions.Logging.Abstractions;
using Relay.Gateway.WireGuard;
using Relay.Gateway.WireGuard.Decisions;
using Relay.Gateway.WireGuard.Flows;
using Relay.Protocol.WireGuard;

namespace Relay.Tests.Gateway.WireGuard;

/// <summary>A decision that does not come in time, and what becomes of it when it comes after all.</summary>
public sealed class FlowAdmissionTests
{
    [Fact]
    public async Task A_decision_that_takes_too_long_is_a_refusal_and_closed_when_it_comes()
    {
        var time = new ManualTimeProvider();
        var clock = new TunnelClock(time);
        var options = new WireGuardOptions { Listen = new IPEndPoint(IPAddress.Loopback, 0) };
        var flows = new SlowFlows();
        using var device = new WireGuardDevice(new WireGuardDeviceOptions { PrivateKey = WireGuardPrivateKey.Generate(), Epoch = clock.Epoch });
        var admission = new FlowAdmission(new DeviceTable(device, options, clock, NullLogger.Instance), flows, options, clock, NullLogger.Instance);
        var laptop = new UserDevice { Id = Guid.NewGuid(), UserId = Guid.NewGuid(), PublicKey = device.PublicKey, Addresses = [IPAddress.Parse("100.124.0.1")] };
        var request = new FlowRequest(laptop, new IPEndPoint(IPAddress.Loopback, 1), new IPEndPoint(laptop.Addresses[0], 2), new IPEndPoint(IPAddress.Parse("100.126.0.1"), 3), FlowProtocol.Udp);

        var deciding = admission.DecideAsync(request, TestContext.Current.CancellationToken).AsTask();
        time.Advance(options.DecisionTimeout - TimeSpan.FromSeconds(1));
        Assert.False(deciding.IsCompleted || flows.GivenUp.IsCancellationRequested);
        time.Advance(TimeSpan.FromSeconds(2));
        var decision = await deciding.WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);
        Assert.Equal("no decision in time", decision.Reason);
        Assert.True(flows.GivenUp.IsCancellationRequested);

        var late = new ClosedPipe();
        flows.Answer.SetResult(FlowDecision.Allow(late, revoked: CancellationToken.None));
        await late.Closed.Task.WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);
    }

    [Fact]
    public void A_device_that_begins_flows_without_end_is_held_to_a_rate()
    {
        var time = new ManualTimeProvider();
        var laptop = new UserDevice { Id = Guid.NewGuid(), UserId = Guid.NewGuid(), PublicKey = default, Addresses = [] };
        var device = new ActiveDevice(laptop, time);
        int Begin(int tries) => Enumerable.Range(0, tries).Count(i =>
        {
            var protocol = i % 2 == 0 ? FlowProtocol.Tcp : FlowProtocol.Udp;
            if (!device.TryEnter(protocol, int.MaxValue)) return false;
            device.Leave(protocol);
            return true;
        });
        Assert.Equal(ActiveDevice.FlowsAtOnce, Begin(2 * ActiveDevice.FlowsAtOnce));
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(ActiveDevice.FlowsPerSecond, Begin(2 * ActiveDevice.FlowsPerSecond));
        time.Advance(TimeSpan.FromHours(1));
        Assert.Equal(ActiveDevice.FlowsAtOnce, Begin(2 * ActiveDevice.FlowsAtOnce));
    }

    private sealed class SlowFlows : IFlows
    {
        public TaskCompletionSource<FlowDecision> Answer { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public CancellationToken GivenUp { get; private set; }

        public async ValueTask<FlowDecision> DecideAsync(FlowRequest request, CancellationToken cancellationToken)
        {
            GivenUp = cancellationToken;
            return await Answer.Task;
        }
    }

    private sealed class ClosedPipe : IDatagramPipe
    {
        public TaskCompletionSource Closed { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public bool TrySend(ReadOnlySpan<byte> datagram) => false;

        public ValueTask<bool> WaitToReceiveAsync(CancellationToken cancellationToken) => new(false);

        public bool TryReceive(Span<byte> buffer, out int length)
        {
            length = 0;
            return false;
        }

        public ValueTask DisposeAsync()
        {
            Closed.TrySetResult();
            return ValueTask.CompletedTask;
        }
    }
}
