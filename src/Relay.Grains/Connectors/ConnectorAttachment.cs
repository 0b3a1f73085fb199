using Orleans;

namespace Relay.Grains.Connectors;

/// <summary>One connection of a connector, as the silo that holds it reports it.</summary>
/// <param name="Epoch">The lease's epoch: a higher one always wins.</param>
/// <param name="Silo">Grid address "host:port" of the holder.</param>
/// <param name="SiloIncarnation">Which start of that silo.</param>
/// <param name="AgentInstance">Which start of the agent.</param>
/// <param name="AgentAddress">Where the agent dialled from, for the record.</param>
/// <param name="AttachedAt">Since when, by the store's clock.</param>
[GenerateSerializer]
[Immutable]
[Alias("relay.connector.attachment")]
public sealed record ConnectorAttachment(
    [property: Id(0)] long Epoch,
    [property: Id(1)] string Silo,
    [property: Id(2)] Guid SiloIncarnation,
    [property: Id(3)] Guid AgentInstance,
    [property: Id(4)] string AgentAddress,
    [property: Id(5)] DateTimeOffset AttachedAt);
