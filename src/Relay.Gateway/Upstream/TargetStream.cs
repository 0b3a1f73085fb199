using Relay.Gateway.Access;
using Relay.Gateway.Grid;
using Relay.Gateway.Sessions;
using Relay.Protocol.Tunnel;

namespace Relay.Gateway.Upstream;

/// <summary>Opens byte streams to a session's target, through its silo and the connector.</summary>
internal static class TargetStream
{
    /// <summary>The one that the gateway logs in over; what goes through it later needs a permit of its own.</summary>
    /// <exception cref="UpstreamFailedException">Names the hop and the cause.</exception>
    public static async Task<DuplexStream> OpenAsync(GatewaySession session, CancellationToken cancellationToken)
    {
        try
        {
            return new ReasonedStream(await session.Silo.OpenStreamAsync(session.Id, cancellationToken), session);
        }
        catch (StreamOpenException e)
        {
            var failure = e.Error switch
            {
                StreamOpenError.Refused or StreamOpenError.Unreachable or StreamOpenError.NameNotFound or StreamOpenError.Unsupported => UpstreamFailure.Target,
                StreamOpenError.TimedOut => UpstreamFailure.TimedOut,
                _ => UpstreamFailure.Connector,
            };
            throw new UpstreamFailedException(failure, UserText.Clean(e.Message), e);
        }
        catch (GridException e)
        {
            throw new UpstreamFailedException(UpstreamFailure.Silo, UserText.Clean(e.Message), e);
        }
    }

    /// <summary>A user's own connection to a raw TCP target.</summary>
    /// <exception cref="UpstreamFailedException">Names the hop and the cause.</exception>
    public static Task<DuplexStream> OpenAsync(ChannelPermit permit, CancellationToken cancellationToken) => permit.TryUse()
        ? OpenAsync(permit.Session, cancellationToken)
        : throw new InvalidOperationException("A permit opens one stream.");
}
