namespace Relay.Silo.Connectors;

/// <summary>
/// How long leases have not been renewed, by this silo's own clock since it first saw them so: the database's clock may jump. Pure:
/// is told what was read, and when. Safe for concurrent use.
/// </summary>
internal sealed class LeaseWatch(TimeSpan ttl)
{
    /// <summary>More are not watched at once; their turn comes when others have gone.</summary>
    private const int MaxWatched = 50_000;

    private readonly Lock _lock = new();
    private readonly Dictionary<Guid, Seen> _seen = [];

    /// <summary>True: the lease had not changed for its hard TTL when it was read, so its holder has closed the tunnel.</summary>
    /// <param name="lease">As it was read.</param>
    /// <param name="askedAt">Before it was read. What was read before a pause of this process says nothing about the time of the pause.</param>
    /// <param name="now">After it was read.</param>
    public bool HasLapsed(ConnectorLease lease, TimeSpan askedAt, TimeSpan now)
    {
        lock (_lock)
        {
            if (_seen.TryGetValue(lease.ConnectorId, out var seen) && seen.Epoch == lease.Epoch && seen.Renewal == lease.Renewal) return askedAt - seen.Since >= ttl;
            if (_seen.Count < MaxWatched || _seen.ContainsKey(lease.ConnectorId)) _seen[lease.ConnectorId] = new Seen(lease.Epoch, lease.Renewal, now);
            return false;
        }
    }

    /// <summary>All leases that look as if they were not renewed; others need not be watched. Times as for <see cref="HasLapsed"/>.</summary>
    public void Observe(IReadOnlyCollection<ConnectorLease> stale, TimeSpan askedAt, TimeSpan now)
    {
        foreach (var lease in stale) HasLapsed(lease, askedAt, now);
        var ids = stale.Select(l => l.ConnectorId).ToHashSet();
        lock (_lock)
        {
            // One that an attach has just looked at stays for a while, whatever the database's clock makes of it.
            foreach (var id in _seen.Where(s => now - s.Value.Since > ttl + ttl && !ids.Contains(s.Key)).Select(s => s.Key).ToArray()) _seen.Remove(id);
        }
    }

    private readonly record struct Seen(long Epoch, string Renewal, TimeSpan Since);
}
