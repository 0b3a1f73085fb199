using System.Collections.Concurrent;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Relay.Protocol.Grid;
using Relay.Silo.Connectors;
using Relay.Silo.Fencing;
using Relay.Silo.Grid;
using Relay.Silo.Hosting;
using Relay.Silo.Sessions;
using Relay.Silo.Snapshots;

namespace Relay.Silo.LocalSnapshots;

/// <inheritdoc cref="IPeerAnswers"/>
internal sealed class PeerAnswers(IGridMembers members, SiloLinks links, SiloIdentity self, TimeProvider time) : IPeerAnswers, IDisposable
{
    // A large organization is some tens of megabytes.
    private static readonly TimeSpan RowsDeadline = TimeSpan.FromSeconds(15);
    private readonly ConcurrentDictionary<string, PeerLink> _links = new(StringComparer.Ordinal);

    /// <summary>How long each peer may take to answer; who does not counts as away.</summary>
    public TimeSpan Deadline { get; init; } = TimeSpan.FromSeconds(2);

    public async Task<PeersInForce> VersionsAsync(CancellationToken cancellationToken)
    {
        var highest = new Dictionary<Guid, (long Version, string Peer)>();
        var revoked = new List<RevokedGateway>();
        foreach (var (peer, answer) in await AskAllAsync(GridRoutes.PeerVersions, new PeerVersionsRequest(), PeerAnswersJson.Default.PeerVersionsRequest, PeerAnswersJson.Default.PeerVersions, cancellationToken))
        {
            foreach (var (organization, version) in answer.Versions.Where(v => !highest.TryGetValue(v.Key, out var known) || known.Version < v.Value))
                highest[organization] = (version, peer);
            revoked.AddRange(answer.RevokedGateways);
        }

        return new PeersInForce(highest, [.. revoked.GroupBy(g => g.Name).Select(g => g.MaxBy(r => r.After)!)]);
    }

    public async Task<SnapshotRows?> RowsAsync(string peer, Guid organizationId, CancellationToken cancellationToken)
    {
        var answer = await Link(peer).AskAsync(
            GridRoutes.PeerRows, new PeerRowsRequest(organizationId), PeerAnswersJson.Default.PeerRowsRequest, PeerAnswersJson.Default.PeerRows, RowsDeadline, cancellationToken);
        return answer?.Rows;
    }

    public async Task<IReadOnlyList<ConnectorLease>> TunnelsAsync(IReadOnlyCollection<Guid> connectorIds, CancellationToken cancellationToken)
    {
        var found = new Dictionary<Guid, ConnectorLease>();
        foreach (var asked in connectorIds.Chunk(PeerAnswerRoutes.MaxConnectors))
        {
            foreach (var (peer, answer) in await AskAllAsync(GridRoutes.PeerTunnels, new PeerTunnelsRequest(asked), PeerAnswersJson.Default.PeerTunnelsRequest, PeerAnswersJson.Default.PeerTunnels, cancellationToken))
            {
                foreach (var tunnel in answer.Tunnels.Where(t => !found.TryGetValue(t.Connector, out var known) || known.Epoch < t.Epoch))
                    found[tunnel.Connector] = new ConnectorLease(tunnel.Connector, tunnel.Epoch, peer, answer.Incarnation, Guid.Empty, "", default, Live: true);
            }
        }

        return [.. found.Values];
    }

    public void Dispose()
    {
        foreach (var link in _links.Values)
            link.Dispose();
    }

    private async Task<IReadOnlyList<(string Peer, TAnswer Answer)>> AskAllAsync<TQuestion, TAnswer>(
        string route, TQuestion question, JsonTypeInfo<TQuestion> questionType, JsonTypeInfo<TAnswer> answerType, CancellationToken cancellationToken)
        where TAnswer : class
    {
        var peers = members.Serving.Select(m => m.Address).Where(a => a != self.Address).Distinct().ToArray();
        var answers = await Task.WhenAll(peers.Select(p => Link(p).AskAsync(route, question, questionType, answerType, Deadline, cancellationToken)));
        return [.. peers.Zip(answers).Where(a => a.Second is not null).Select(a => (a.First, a.Second!))];
    }

    private PeerLink Link(string peer) => _links.GetOrAdd(peer, static (address, s) => new PeerLink(s.links, address, s.time), (links, time));
}

/// <summary>"By which versions do you decide?"</summary>
internal sealed record PeerVersionsRequest;

internal sealed record PeerVersions(IReadOnlyDictionary<Guid, long> Versions, IReadOnlyList<RevokedGateway> RevokedGateways);

/// <summary>"What do you decide by?"</summary>
internal sealed record PeerRowsRequest(Guid OrganizationId);

/// <param name="Rows">Null: not at hand.</param>
internal sealed record PeerRows(SnapshotRows? Rows);

/// <summary>"Which of these connectors are attached to you?"</summary>
internal sealed record PeerTunnelsRequest(IReadOnlyList<Guid> Connectors);

/// <param name="Incarnation">Of the silo that answers.</param>
internal sealed record PeerTunnels(Guid Incarnation, IReadOnlyList<PeerTunnel> Tunnels);

internal sealed record PeerTunnel(Guid Connector, long Epoch);

/// <summary>Serializer of what silos ask each other about themselves: snake_case, unknown fields ignored.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(PeerVersionsRequest))]
[JsonSerializable(typeof(PeerVersions))]
[JsonSerializable(typeof(PeerRowsRequest))]
[JsonSerializable(typeof(PeerRows))]
[JsonSerializable(typeof(PeerTunnelsRequest))]
[JsonSerializable(typeof(PeerTunnels))]
internal sealed partial class PeerAnswersJson : JsonSerializerContext;
