namespace Relay.Gateway.WireGuard;

/// <summary>WireGuard can not be offered here; the message is a sentence that says why and is safe to log. The gateway serves the rest.</summary>
internal sealed class WireGuardUnavailableException(string reason) : Exception(reason);
