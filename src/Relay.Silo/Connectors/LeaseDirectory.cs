using System.Collections.Concurrent;
using Relay.Silo.LocalSnapshots;
using Relay.Silo.Storage;

namespace Relay.Silo.Connectors;

/// <summary>
/// The lease table is the directory. When the store does not answer, what it said last is used: tunnels that were there stay there
/// (design: a store outage decides nothing anew); what it has not said, or what was wrong, the other silos are asked. Safe for concurrent use.
/// </summary>
internal sealed class LeaseDirectory(ConnectorLeaseStore leases, StoreHealth store, IPeerAnswers peers) : IConnectorDirectory
{
    private readonly ConcurrentDictionary<Guid, ConnectorLease> _last = new();

    public void Attached(ConnectorLease lease) => _last[lease.ConnectorId] = lease;

    public void Detached(Guid connectorId, long epoch)
    {
        if (_last.TryGetValue(connectorId, out var known) && known.Epoch <= epoch)
            _last.TryRemove(new KeyValuePair<Guid, ConnectorLease>(connectorId, known));
    }

    public async ValueTask<IReadOnlyList<ConnectorLease>> LocateAsync(IReadOnlyCollection<Guid> connectorIds, bool fresh, CancellationToken cancellationToken)
    {
        try
        {
            var live = await store.RunAsync(cancellation => leases.ReadLiveAsync(connectorIds, cancellation), cancellationToken);
            foreach (var id in connectorIds)
            {
                if (live.FirstOrDefault(l => l.ConnectorId == id) is { } lease)
                    _last[id] = lease;
                else
                    _last.TryRemove(id, out _);
            }

            return live;
        }
        catch (StoreUnavailableException e)
        {
            await AskPeersAsync(fresh ? connectorIds : [.. connectorIds.Where(id => !_last.ContainsKey(id))], cancellationToken);
            var known = connectorIds.Select(id => _last.GetValueOrDefault(id)).OfType<ConnectorLease>().ToArray();
            return known.Length > 0 ? known : throw new IOException("the connector is attached to no silo that can be reached, and without the database, which does not answer, it cannot be connected anew", e);
        }
    }

    private async Task AskPeersAsync(IReadOnlyCollection<Guid> connectorIds, CancellationToken cancellationToken)
    {
        if (connectorIds.Count == 0)
            return;
        foreach (var lease in await peers.TunnelsAsync(connectorIds, cancellationToken))
            _last.AddOrUpdate(lease.ConnectorId, static (_, found) => found, static (_, known, found) => found.Epoch > known.Epoch ? found : known, lease);
    }
}
