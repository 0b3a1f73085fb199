using Relay.Protocol.Grid;
using Relay.Silo.Fencing;
using Relay.Silo.Storage;

namespace Relay.Silo.Connectors;

/// <summary>What the store says about tunnels: which leases are still ours, which tokens hold no more.</summary>
/// <param name="Renewed">Connectors whose leases were renewed; null: they were not asked about.</param>
/// <param name="LostTokens">Tokens that must not be used any more, and why.</param>
internal sealed record LeaseTurn(IReadOnlySet<Guid>? Renewed, IReadOnlyDictionary<Guid, (string Code, string Message)> LostTokens);

/// <summary>Asks the store about tunnels, directly or, when only that link is cut, through a peer. Safe for concurrent use.</summary>
internal interface ILeaseRenewals
{
    /// <summary>Renews the tunnels' leases when asked to and, through a peer, looks at their tokens. Null: the store could not be asked on any way.</summary>
    Task<LeaseTurn?> TurnAsync(IReadOnlyCollection<ConnectorTunnel> tunnels, bool renew, CancellationToken cancellationToken);
}

/// <inheritdoc cref="ILeaseRenewals"/>
internal sealed class LeaseRenewals(ConnectorLeaseStore leases, StoreHealth store, IPeerRenewals peers, LeaseMetrics metrics, TimeProvider time) : ILeaseRenewals
{
    private static readonly Dictionary<Guid, (string Code, string Message)> NothingLost = [];

    public async Task<LeaseTurn?> TurnAsync(IReadOnlyCollection<ConnectorTunnel> tunnels, bool renew, CancellationToken cancellationToken)
    {
        var begun = time.GetTimestamp();
        var turn = await AskAsync(tunnels, renew, cancellationToken);
        if (turn?.Renewed is { } renewed)
            metrics.Renewed(renewed.Count, time.GetElapsedTime(begun));
        return turn;
    }

    private async Task<LeaseTurn?> AskAsync(IReadOnlyCollection<ConnectorTunnel> tunnels, bool renew, CancellationToken cancellationToken)
    {
        if (!store.Reachable) return await ThroughPeerAsync(tunnels, renew, cancellationToken);
        using var waiting = new StoreBound(cancellationToken, store.Outage);
        try
        {
            // Tokens are judged by the snapshots, as long as those can be kept up (TokenWatch).
            var renewed = renew ? await leases.RenewAsync([.. tunnels.Select(t => (t.Connector.ConnectorId, t.Epoch))], ConnectorLeaseStore.HardTtl, waiting.Token) : null;
            return new LeaseTurn(renewed, NothingLost);
        }
        catch (Exception e) when (!cancellationToken.IsCancellationRequested && (e is OperationCanceledException || StoreErrors.IsOutage(e)))
        {
            store.Suspect(e);
            return null;
        }
    }

    private async Task<LeaseTurn?> ThroughPeerAsync(IReadOnlyCollection<ConnectorTunnel> tunnels, bool renew, CancellationToken cancellationToken)
    {
        var renewed = renew ? new HashSet<Guid>() : null;
        var lost = new Dictionary<Guid, (string, string)>();
        foreach (var part in tunnels.Chunk(PeerRoutes.MaxRenewed))
        {
            PeerLease[] mine = renew ? [.. part.Select(t => new PeerLease(t.Connector.ConnectorId, t.Epoch))] : [];
            if (await peers.RenewThroughPeerAsync(mine, [.. part.Select(t => t.Connector.TokenId).Distinct()], cancellationToken) is not { Held: true } answer) return null;
            renewed?.UnionWith(answer.Renewed);
            foreach (var token in answer.LostTokens) lost[token.Token] = (token.Code, token.Message);
        }

        return new LeaseTurn(renewed, lost);
    }
}
