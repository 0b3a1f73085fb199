using System.Collections.Concurrent;
using Npgsql;

namespace Relay.Silo.Connectors;

/// <summary>
/// The lease table is the directory. What it said last is remembered and used when the store does not answer: tunnels that
/// were there stay there (design: a store outage decides nothing anew). Safe for concurrent use.
/// </summary>
internal sealed class LeaseDirectory : IConnectorDirectory
{
    private readonly ConnectorLeaseStore _leases;
    private readonly ConcurrentDictionary<Guid, ConnectorLease> _last = new();

    public LeaseDirectory(ConnectorLeaseStore leases) => _leases = leases;

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
            var live = await _leases.ReadLiveAsync(connectorIds, cancellationToken);
            foreach (var id in connectorIds)
            {
                if (live.FirstOrDefault(l => l.ConnectorId == id) is { } lease)
                    _last[id] = lease;
                else
                    _last.TryRemove(id, out _);
            }

            return live;
        }
        catch (NpgsqlException e)
        {
            var known = connectorIds.Select(id => _last.GetValueOrDefault(id)).OfType<ConnectorLease>().ToArray();
            return known.Length > 0 ? known : throw new IOException("the database does not answer, and where the connector is was not known before", e);
        }
    }
}
