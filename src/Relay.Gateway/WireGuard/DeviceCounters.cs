namespace Relay.Gateway.WireGuard;

/// <summary>What is known of a device that was heard.</summary>
/// <param name="Tunnel">The tunnel whose bytes these are: they count from zero in another one.</param>
/// <param name="Endpoint">"ip:port" its last authentic packet came from.</param>
/// <param name="LastHandshake">By the tunnel's clock, which is not put right as the day's is.</param>
/// <param name="BytesUp">From the device, as <c>wg show</c> counts.</param>
/// <param name="BytesDown">To the device.</param>
internal sealed record DeviceCounters(Guid DeviceId, object Tunnel, string Endpoint, DateTimeOffset LastHandshake, long BytesUp, long BytesDown);
