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

    /// <summary>The lease as it was read before <paramref name="now"/>. True: it has not changed for its hard TTL, so its holder has closed the tunnel.</summary>
    public bool HasLapsed(ConnectorLease lease, TimeSpan now)
    {
        lock (_lock)
        {
            if (_seen.TryGetValue(lease.ConnectorId, out var seen) && seen.Epoch == lease.Epoch && seen.Renewal == lease.Renewal) return now - seen.Since >= ttl;
            if (_seen.Count < MaxWatched || _seen.ContainsKey(lease.ConnectorId)) _seen[lease.ConnectorId] = new Seen(lease.Epoch, lease.Renewal, now);
            return false;
        }
    }

    /// <summary>All leases that look as if they were not renewed, as read before <paramref name="now"/>; others need not be watched.</summary>
    public void Observe(IReadOnlyCollection<ConnectorLease> stale, TimeSpan now)
    {
        foreach (var lease in stale) HasLapsed(lease, now);
        var ids = stale.Select(l => l.ConnectorId).ToHashSet();
        lock (_lock)
        {
            // One that an attach has just looked at stays for a while, whatever the database's clock makes of it.
            foreach (var id in _seen.Where(s => now - s.Value.Since > ttl + ttl && !ids.Contains(s.Key)).Select(s => s.Key).ToArray()) _seen.Remove(id);
        }
    }

    private readonly record struct Seen(long Epoch, string Renewal, TimeSpan Since);
}
