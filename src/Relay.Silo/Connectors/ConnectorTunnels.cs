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
    private readonly ConcurrentDictionary<Guid, TimeSpan> _doubts = new();

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
    /// that is here, if it is of such an epoch, is closed.
    /// </summary>
    /// <returns>When the promise holds: openings that were sent before may still be taken until then. In the past: it holds now.</returns>
    public TimeSpan Forswear(Guid connectorId, long epoch)
    {
        Admit(connectorId, epoch + 1);
        if (_attached.TryGetValue(connectorId, out var tunnel) && tunnel.Epoch <= epoch)
        {
            Remove(tunnel);
            tunnel.Dispose();
        }

        return _doubts.GetValueOrDefault(connectorId, TimeSpan.MinValue);
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

    /// <summary>Takes the tunnel that the connector has here under a lower epoch out of the registry, to be closed before the new one opens.</summary>
    public ConnectorTunnel? TakeOlder(Guid connectorId, long epoch)
    {
        if (!_attached.TryGetValue(connectorId, out var tunnel) || tunnel.Epoch >= epoch)
            return null;
        Remove(tunnel);
        return tunnel;
    }

    /// <summary>Removes this very tunnel. What it has opened without an answer is remembered as long as it matters.</summary>
    public void Remove(ConnectorTunnel tunnel)
    {
        _attached.TryRemove(new KeyValuePair<Guid, ConnectorTunnel>(tunnel.Connector.ConnectorId, tunnel));
        Doubt(tunnel);
    }

    private void Doubt(ConnectorTunnel tunnel)
    {
        if (tunnel.Seal() is var until && until > TimeSpan.MinValue)
            _doubts.AddOrUpdate(tunnel.Connector.ConnectorId, until, (_, known) => known > until ? known : until);
    }
}
