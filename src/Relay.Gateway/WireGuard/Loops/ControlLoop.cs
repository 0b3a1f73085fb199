using Relay.Gateway.WireGuard.Udp;
using Relay.Protocol.WireGuard;

namespace Relay.Gateway.WireGuard.Loops;

/// <summary>What takes long or is due by the clock: handshakes and timers, on one thread, off the way of data.</summary>
internal sealed class ControlLoop(WireGuardDevice device, TunnelClock clock, UdpSender sender, HandshakeQueue handshakes) : IDisposable
{
    // Nothing in the protocol is finer than a second.
    private static readonly TimeSpan s_longestWait = TimeSpan.FromMilliseconds(250);

    // Sent together at most: under a flood of forged handshakes, cookie replies. As many real handshakes take two milliseconds.
    private const int AnswersAtOnce = 8;

    private readonly SenderSink _sink = new(sender, handshakes);

    public void Turn()
    {
        handshakes.Wait(s_longestWait);
        Span<byte> message = stackalloc byte[148];
        var waiting = 0;
        while (handshakes.Take(message, out WireGuardEndpoint from) is var length && length > 0)
        {
            TimeSpan now = clock.Now;
            if (handshakes.IsLong) device.DeclareLoad(now);
            device.ReceiveHandshake(message[..length], from, now, _sink);
            if (++waiting == AnswersAtOnce || handshakes.IsEmpty)
            {
                sender.Flush();
                waiting = 0;
            }

            AdvanceIfDue();
        }

        AdvanceIfDue();
    }

    public void Dispose() => sender.Dispose();

    private void AdvanceIfDue()
    {
        TimeSpan now = clock.Now;
        if (!(device.NextDeadline <= now)) return;
        device.Advance(now, _sink);
        sender.Flush();
    }
}
