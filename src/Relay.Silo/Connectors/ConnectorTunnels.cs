using System.Collections.Concurrent;

namespace Relay.Silo.Connectors;

/// <summary>
/// The tunnels that end at this silo, and the highest epoch seen of every connector that was ever asked about here.
/// Safe for concurrent use.
/// </summary>
internal sealed class ConnectorTunnels
{
    private readonly ConcurrentDictionary<Guid, ConnectorTunnel> _attached = new();
    private readonly ConcurrentDictionary<Guid, long> _epochs = new();

    /// <summary>A tunnel was registered; on the registering thread.</summary>
    public event Action<ConnectorTunnel>? Added;

    public int Count => _attached.Count;

    /// <summary>The tunnels that take streams.</summary>
    public IReadOnlyCollection<ConnectorTunnel> Attached => [.. _attached.Values];

    /// <summary>The connector's tunnel if it takes streams here; null otherwise.</summary>
    public ConnectorTunnel? Find(Guid connectorId) =>
        _attached.TryGetValue(connectorId, out var tunnel) && !tunnel.Draining && tunnel.Epoch >= HighestEpoch(connectorId) ? tunnel : null;

    /// <summary>0: never seen.</summary>
    public long HighestEpoch(Guid connectorId) => _epochs.GetValueOrDefault(connectorId);

    /// <summary>False: a higher epoch has been seen; whoever acts under this one is too late. True also remembers it.</summary>
    public bool Admit(Guid connectorId, long epoch) =>
        _epochs.AddOrUpdate(connectorId, epoch, (_, highest) => Math.Max(highest, epoch)) == epoch;

    /// <summary>
    /// A promise: no tunnel of this epoch or a lower one serves here from now on, also one whose attach is just under way. The tunnel
    /// that is here, if it is of such an epoch, comes back to be closed.
    /// </summary>
    public ConnectorTunnel? Forswear(Guid connectorId, long epoch)
    {
        Admit(connectorId, epoch + 1);
        return _attached.TryGetValue(connectorId, out var tunnel) && tunnel.Epoch <= epoch ? tunnel : null;
    }

    /// <summary>Registers a tunnel; false: one with a higher epoch is or was here.</summary>
    public bool TryAdd(ConnectorTunnel tunnel)
    {
        if (!Admit(tunnel.Connector.ConnectorId, tunnel.Epoch))
            return false;
        var kept = _attached.AddOrUpdate(tunnel.Connector.ConnectorId, tunnel, (_, old) => old.Epoch < tunnel.Epoch ? tunnel : old);
        if (kept != tunnel)
            return false;
        Added?.Invoke(tunnel);
        return true;
    }

    /// <summary>Takes whatever tunnel the connector has here out of the registry, to be closed before a new one opens.</summary>
    public ConnectorTunnel? Take(Guid connectorId) => _attached.TryRemove(connectorId, out var tunnel) ? tunnel : null;

    /// <summary>Removes this very tunnel.</summary>
    public void Remove(ConnectorTunnel tunnel) => _attached.TryRemove(new KeyValuePair<Guid, ConnectorTunnel>(tunnel.Connector.ConnectorId, tunnel));
}
