using System.Text.Json.Serialization;
using Relay.GrainHost.Membership;
using Relay.Silo.Authorities;
using Relay.Silo.Sessions;
using Relay.Silo.Snapshots;

namespace Relay.Silo.LocalSnapshots;

/// <summary>What a silo had on its disk when it started without the store. Immutable.</summary>
/// <param name="Grid">Keys and silos of the grid.</param>
/// <param name="Organizations">All that decisions depend on.</param>
/// <param name="RevokedGateways">Whose certificates from before count for nothing.</param>
/// <param name="ConfirmedAt">When the store last said that these are the versions in force, by this machine's clock.</param>
internal sealed record LocalSnapshot(LocalGrid Grid, IReadOnlyList<LocalOrganization> Organizations, IReadOnlyList<RevokedGateway> RevokedGateways, DateTimeOffset ConfirmedAt);

/// <summary>The file "grid".</summary>
/// <param name="Authorities">As the tables have them: secrets stay sealed.</param>
/// <param name="Members">The silos of the grid as this one last knew them.</param>
internal sealed record LocalGrid(AuthorityRows Authorities, IReadOnlyList<SiloMember> Members);

/// <summary>The file of one organization.</summary>
/// <param name="Stamp">Of this reading: after a fail-over two that differ may have one version.</param>
internal sealed record LocalOrganization(Guid Stamp, SnapshotRows Rows);

/// <summary>The file "versions": which reading of each organization this silo decides by. A file of another one is not to be used.</summary>
/// <param name="RevokedGateways">As of these versions.</param>
internal sealed record LocalVersions(IReadOnlyDictionary<Guid, LocalVersion> Versions, IReadOnlyList<RevokedGateway> RevokedGateways, DateTimeOffset ConfirmedAt);

/// <summary>One reading.</summary>
internal sealed record LocalVersion(long Version, Guid Stamp);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(LocalGrid))]
[JsonSerializable(typeof(LocalVersions))]
[JsonSerializable(typeof(LocalOrganization))]
internal sealed partial class LocalSnapshotJson : JsonSerializerContext;
