using System.Collections.Immutable;
using Orleans;

namespace Relay.Grains.Sockets;

/// <summary>A live session as its socket counts it.</summary>
/// <param name="SessionId">Which session.</param>
/// <param name="ConnectorId">Through which connector it goes.</param>
[GenerateSerializer]
[Immutable]
[Alias("relay.socket.session")]
public readonly record struct SocketSession([property: Id(0)] Guid SessionId, [property: Id(1)] Guid ConnectorId);

/// <summary>Live sessions of a socket.</summary>
/// <param name="Sessions">How many in all.</param>
/// <param name="ByConnector">How many by connector; connectors without one are absent.</param>
[GenerateSerializer]
[Immutable]
[Alias("relay.socket.load")]
public sealed record SocketLoad([property: Id(0)] int Sessions, [property: Id(1)] ImmutableArray<ConnectorLoad> ByConnector);

/// <summary>Live sessions of a socket through one connector.</summary>
[GenerateSerializer]
[Immutable]
[Alias("relay.socket.connector-load")]
public readonly record struct ConnectorLoad([property: Id(0)] Guid ConnectorId, [property: Id(1)] int Sessions);
