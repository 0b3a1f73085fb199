using System.Collections.Immutable;
using Orleans;

namespace Relay.Grains.Sockets;

/// <summary>Open streams of a socket.</summary>
/// <param name="Silo">Incarnation of the silo that has them; empty: of several silos.</param>
/// <param name="Ways">Ways without a stream are absent.</param>
[GenerateSerializer]
[Immutable]
[Alias("relay.socket.load")]
public sealed record SocketLoad([property: Id(0)] Guid Silo, [property: Id(1)] ImmutableArray<WayLoad> Ways);

/// <summary>Open streams over one way.</summary>
/// <param name="ConnectorId">Through which connector.</param>
/// <param name="Target">To which host, "host:port".</param>
/// <param name="Streams">How many.</param>
[GenerateSerializer]
[Immutable]
[Alias("relay.socket.way-load")]
public readonly record struct WayLoad([property: Id(0)] Guid ConnectorId, [property: Id(1)] string Target, [property: Id(2)] int Streams);
