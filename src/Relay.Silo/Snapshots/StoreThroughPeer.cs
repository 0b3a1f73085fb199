using System.Collections.Concurrent;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Relay.Protocol.Grid;
using Relay.Protocol.Tunnel;
using Relay.Silo.Fencing;
using Relay.Silo.Grid;
using Relay.Silo.Hosting;
using Relay.Silo.Sessions;
using Relay.Silo.Storage;

namespace Relay.Silo.Snapshots;

/// <inheritdoc cref="IStoreThroughPeer"/>
internal sealed class StoreThroughPeer(SiloFence fence, GridHealth grid, StoreHealth store, SiloLinks links, SiloIdentity self, BootClock clock, TimeProvider time) : IStoreThroughPeer, IDisposable
{
    private static readonly TimeSpan ShortDeadline = TimeSpan.FromSeconds(3);

    // A large organization is some tens of megabytes.
    private static readonly TimeSpan RowsDeadline = TimeSpan.FromSeconds(15);
    private readonly ConcurrentDictionary<string, PeerLink> _links = new(StringComparer.Ordinal);

    public bool IsNeeded => !store.Reachable && grid.StoreReachable;

    public async Task<StoreHeads> HeadsAsync(CancellationToken cancellationToken)
    {
        var changes = await ChangesAsync(cancellationToken);
        return new StoreHeads(changes.Heads, changes.RevokedGateways);
    }

    public async Task<SnapshotRows?> RowsAsync(Guid organizationId, CancellationToken cancellationToken) => (await AskAsync(
        GridRoutes.PeerSnapshot, new PeerSnapshotRequest(organizationId), PeerStoreJson.Default.PeerSnapshotRequest, PeerStoreJson.Default.PeerSnapshotAnswer, RowsDeadline, cancellationToken)).Rows;

    public async Task<IReadOnlyList<(Guid SessionId, string KilledBy)>> KillsAsync(CancellationToken cancellationToken) =>
        [.. (await ChangesAsync(cancellationToken)).Kills.Select(k => (k.SessionId, k.By))];

    public async Task<TimeSpan?> AcknowledgeAsync(Guid organizationId, long since, long version, CancellationToken cancellationToken)
    {
        var answer = await AskAsync(
            GridRoutes.PeerAcknowledgement, new PeerAcknowledgement(self.Incarnation, organizationId, since, version),
            PeerStoreJson.Default.PeerAcknowledgement, PeerStoreJson.Default.PeerAcknowledgementAnswer, ShortDeadline, cancellationToken);
        return answer.AgeSeconds is { } age ? TimeSpan.FromSeconds(age) : null;
    }

    public void Dispose()
    {
        foreach (var link in _links.Values)
            link.Dispose();
    }

    private Task<PeerChanges> ChangesAsync(CancellationToken cancellationToken) => AskAsync(
        GridRoutes.PeerChanges, new PeerChangesRequest(self.Incarnation), PeerStoreJson.Default.PeerChangesRequest, PeerStoreJson.Default.PeerChanges, ShortDeadline, cancellationToken);

    private async Task<TAnswer> AskAsync<TQuestion, TAnswer>(
        string route, TQuestion question, JsonTypeInfo<TQuestion> questionType, JsonTypeInfo<TAnswer> answerType, TimeSpan deadline, CancellationToken cancellationToken)
        where TAnswer : class
    {
        foreach (var peer in fence.PeersWithStore(clock.Now))
        {
            var link = _links.GetOrAdd(peer.Address, static (address, s) => new PeerLink(s.links, address, s.time), (links, time));
            if (await link.AskAsync(route, question, questionType, answerType, deadline, cancellationToken) is { } answer)
                return answer;
        }

        throw new StoreUnavailableException("the database cannot be reached, nor a silo that reaches it");
    }
}

/// <summary>Asks what has changed, for the silo start that asks.</summary>
internal sealed record PeerChangesRequest(Guid Incarnation);

/// <param name="Heads">Organizations and their versions.</param>
/// <param name="Kills">Live sessions of the asking silo that somebody asked to end.</param>
/// <param name="RevokedGateways">As in <see cref="StoreHeads"/>; null: of a version that does not tell.</param>
internal sealed record PeerChanges(IReadOnlyDictionary<Guid, long> Heads, IReadOnlyList<PeerKill> Kills, IReadOnlyList<RevokedGateway>? RevokedGateways = null);

internal sealed record PeerKill(Guid SessionId, string By);

internal sealed record PeerSnapshotRequest(Guid OrganizationId);

/// <param name="Rows">Null: the organization is gone.</param>
internal sealed record PeerSnapshotAnswer(SnapshotRows? Rows);

/// <summary>"This start of me runs that version": see <see cref="ISnapshotAckStore.WriteAsync"/>.</summary>
internal sealed record PeerAcknowledgement(Guid Incarnation, Guid OrganizationId, long Since, long Version);

/// <param name="AgeSeconds">Null: not known.</param>
internal sealed record PeerAcknowledgementAnswer(double? AgeSeconds);

/// <summary>Serializer of what silos ask each other for when one does not reach the store: snake_case, unknown fields ignored.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(PeerChangesRequest))]
[JsonSerializable(typeof(PeerChanges))]
[JsonSerializable(typeof(PeerSnapshotRequest))]
[JsonSerializable(typeof(PeerSnapshotAnswer))]
[JsonSerializable(typeof(PeerAcknowledgement))]
[JsonSerializable(typeof(PeerAcknowledgementAnswer))]
internal sealed partial class PeerStoreJson : JsonSerializerContext;
