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

/// <summary>A silo that does not reach the store asks one that does to renew what it holds: <c>POST /grid/v1/peers/renewal</c>. It is done as the caller, so only what the caller holds is renewed.</summary>
/// <param name="Incarnation">Which start of the caller; its certificate must be that silo's.</param>
/// <param name="Leases">At most 500.</param>
/// <param name="Tokens">Connector tokens to be looked at, at most 500.</param>
public sealed record PeerRenewal(Guid Incarnation, IReadOnlyList<PeerLease> Leases, IReadOnlyList<Guid> Tokens);

/// <summary>One lease of a connector.</summary>
/// <param name="Connector">The connector's id.</param>
/// <param name="Epoch">The attachment's epoch.</param>
public sealed record PeerLease(Guid Connector, long Epoch);

/// <summary>Answer to <see cref="PeerRenewal"/>.</summary>
/// <param name="Held">The caller is not fenced in the store.</param>
/// <param name="Renewed">Connectors whose leases were renewed; others are not the caller's any more.</param>
/// <param name="LostTokens">Tokens that must not be used any more.</param>
public sealed record PeerRenewalAnswer(bool Held, IReadOnlyList<Guid> Renewed, IReadOnlyList<PeerLostToken> LostTokens);

/// <summary>A connector token that must not be used any more.</summary>
/// <param name="Token">The token's id.</param>
/// <param name="Code">Why, one of <see cref="Relay.Protocol.Tunnel.AttachCodes"/>.</param>
/// <param name="Message">Why, one sentence.</param>
public sealed record PeerLostToken(Guid Token, string Code, string Message);

/// <summary>A silo shuts down and ends streams of these sessions of the other one: <c>POST /grid/v1/peer/paths_lost</c>.</summary>
/// <param name="Sessions">They end.</param>
/// <param name="Outcome">For the record, one phrase.</param>
/// <param name="Reason">For the users.</param>
public sealed record PathsLost(IReadOnlyList<Guid> Sessions, string Outcome, string Reason);
