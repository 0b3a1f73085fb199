namespace Relay.Protocol.Grid;

/// <summary>A silo's sign of life to another one, once a second: <c>POST /grid/v1/peers/heartbeat</c>.</summary>
/// <param name="FromAddress">The sender's advertised grid address.</param>
/// <param name="FromIncarnation">Which start of it.</param>
/// <param name="ToIncarnation">Which start of the receiver is meant; another one does not answer for it.</param>
/// <param name="StoreReachable">Whether the sender reaches the store directly.</param>
/// <param name="Fenced">Silo starts that the sender knows to be fenced in the store, latest first, at most 256.</param>
public sealed record PeerHeartbeat(string FromAddress, Guid FromIncarnation, Guid ToIncarnation, bool StoreReachable, IReadOnlyList<Guid> Fenced);

/// <summary>Answer to <see cref="PeerHeartbeat"/>.</summary>
/// <param name="Accepted">The receiver is the start that was meant, is not fenced, and does not know the sender to be fenced.</param>
/// <param name="Incarnation">Which start of the receiver answers.</param>
/// <param name="StoreReachable">Whether the receiver reaches the store directly.</param>
/// <param name="Fenced">Silo starts whose heartbeats the receiver refuses from now on, latest first, at most 256.</param>
public sealed record PeerHeartbeatAnswer(bool Accepted, Guid Incarnation, bool StoreReachable, IReadOnlyList<Guid> Fenced);
