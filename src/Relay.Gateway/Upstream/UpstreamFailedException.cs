namespace Relay.Gateway.Upstream;

/// <summary>Which hop failed on the way to a logged-in target.</summary>
internal enum UpstreamFailure
{
    /// <summary>The gateway could not reach the session's silo, or the silo refused.</summary>
    Silo = 0,

    /// <summary>The connector is offline or can not be reached by the silos.</summary>
    Connector,

    /// <summary>The connector could not reach the target: refused, no route, unknown name.</summary>
    Target,

    /// <summary>Something did not answer in time.</summary>
    TimedOut,

    /// <summary>The target answers, but not with SSH that this gateway can speak.</summary>
    Handshake,

    /// <summary>The target's host key is not an accepted one.</summary>
    HostKey,

    /// <summary>The target's sshd does not take the credential.</summary>
    Authentication,
}

/// <summary>No target for this session. The message names the hop and what to check; safe to show to the user.</summary>
internal sealed class UpstreamFailedException(UpstreamFailure failure, string message, Exception? inner = null) : Exception(message, inner)
{
    public UpstreamFailure Failure { get; } = failure;
}
