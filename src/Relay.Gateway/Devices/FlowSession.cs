using Relay.Gateway.Grid;
using Relay.Gateway.Sessions;
using Relay.Gateway.WireGuard.Decisions;
using Relay.Protocol.Grid;

namespace Relay.Gateway.Devices;

/// <summary>The session of one flow of a device: one stream, nothing to log in to. Safe for concurrent use.</summary>
internal sealed class FlowSession(SiloLink silo, ISiloFallback fallback, OpenFlowResponse opened, TimeProvider time)
    : SiloSession(opened.SessionId, silo, fallback, opened.EndsAt, time)
{
    /// <summary>The flow has ended by itself, or because the session did.</summary>
    /// <param name="end">How.</param>
    /// <param name="wasLost">What ended towards the target is the connection with the silo.</param>
    public void End(FlowEnd end, bool wasLost)
    {
        AddUp(end.BytesUp);
        AddDown(end.BytesDown);
        End(new SessionEnd(
            end.Cause switch
            {
                FlowEndCause.Completed => "closed",
                FlowEndCause.Idle => "idle",
                FlowEndCause.ByDevice => "closed by user",
                FlowEndCause.ByTarget when wasLost => "the way to the target was lost",
                FlowEndCause.ByTarget => "target closed the connection",
                // Policy, a kill or a limit have been the session's reason already.
                _ => "the device's tunnel ended",
            },
            null));
    }
}
