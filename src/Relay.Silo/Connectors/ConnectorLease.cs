namespace Relay.Silo.Connectors;

/// <summary>One row of connector_lease: who holds a connector.</summary>
/// <param name="Epoch">Grows with every attach; never goes back.</param>
/// <param name="Silo">Grid address of the holder.</param>
/// <param name="SiloIncarnation">Which process of that silo.</param>
/// <param name="AgentInstance">Which process of the agent.</param>
/// <param name="AgentAddress">Where the agent dialled from.</param>
/// <param name="AttachedAt">By the database's clock.</param>
/// <param name="Live">False: its holder gave it up, or is fenced.</param>
/// <param name="Renewal">Differs after each renewal. Nothing else is read out of it: the database's clock may jump.</param>
internal sealed record ConnectorLease(
    Guid ConnectorId, long Epoch, string Silo, Guid SiloIncarnation, Guid AgentInstance, string AgentAddress, DateTimeOffset AttachedAt, bool Live, string Renewal = "");

/// <summary>Outcome of an attach: exactly one of the two is set.</summary>
/// <param name="Won">The lease, now ours.</param>
/// <param name="Holder">Another instance's lease, which has not been given up; or the same instance's, by a later attach.</param>
internal readonly record struct LeaseOutcome(ConnectorLease? Won, ConnectorLease? Holder);
