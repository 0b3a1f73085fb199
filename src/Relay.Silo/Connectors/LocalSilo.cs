namespace Relay.Silo.Connectors;

/// <summary>This silo, as leases and answers name it.</summary>
/// <param name="Name">For people.</param>
/// <param name="GridAddress">Advertised grid address "host:port": where other silos ask for streams.</param>
/// <param name="Incarnation">Random, made when the process starts.</param>
internal sealed record LocalSilo(string Name, string GridAddress, Guid Incarnation);
