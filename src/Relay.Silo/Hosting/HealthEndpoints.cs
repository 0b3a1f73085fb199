using System.Text;
using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Http.HttpResults;
using Relay.Silo.Connectors;
using Relay.Silo.Grid;
using Relay.Silo.History;
using Relay.Silo.LocalSnapshots;
using Relay.Silo.Sessions;
using Relay.Silo.Snapshots;
using Relay.Silo.Storage;

namespace Relay.Silo.Hosting;

/// <summary>
/// For load balancers and people, on the API's listener. Liveness never asks the database: a restart does not mend it. Without the
/// store a silo goes on serving gateways, but its API can do next to nothing: alive, not ready.
/// </summary>
internal static class HealthEndpoints
{
    public static void MapHealth(this IEndpointRouteBuilder routes)
    {
        routes.MapGet("/healthz", () => TypedResults.Text("ok\n")).ExcludeFromDescription();
        routes.MapGet("/readyz", Ready).ExcludeFromDescription();
        routes.MapGet("/health", Health).ExcludeFromDescription();
        routes.MapGet("/metrics", Metrics).ExcludeFromDescription();
    }

    private static ContentHttpResult Ready(StoreHealth store, DrainState drain) =>
        drain.IsDraining ? TypedResults.Text("draining\n", statusCode: StatusCodes.Status503ServiceUnavailable)
        : store.Reachable ? TypedResults.Text("ready\n")
        : TypedResults.Text("the database does not answer\n", statusCode: StatusCodes.Status503ServiceUnavailable);

    private static JsonHttpResult<SiloHealth> Health(
        StoreHealth store, GridHealth grid, DrainState drain, SiloIdentity self, SessionRegistry sessions, SnapshotCell snapshots, ReadOnlyStart start, Spool.Spool spool, ParkedFacts parked, TimeProvider time)
    {
        var readOnly = start.IsActive ? new ReadOnlyState(start.Since, start.Snapshot!.ConfirmedAt, snapshots.Versions()) : null;
        var status = drain.IsDraining ? "draining: takes no new work and stops when its sessions are over, or at the limit"
            : readOnly is not null ? $"read-only: started without the store at {start.Since.UtcDateTime:yyyy-MM-dd HH:mm:ss} UTC, decides by the snapshot that the store confirmed at {readOnly.ConfirmedAt.UtcDateTime:yyyy-MM-dd HH:mm:ss} UTC (version {string.Join(", ", readOnly.Versions.Values)}); joins the grid when the database is back"
            : store.Reachable ? "ok"
            : $"the database cannot be reached since {store.Since.UtcDateTime:yyyy-MM-dd HH:mm:ss} UTC: sessions go on, changes are not possible";
        if (spool.Problem is { } problem)
            status = (status == "ok" ? "" : status + "; ") + $"history cannot be kept here, so recorded sessions end and none begins: {problem}";
        return TypedResults.Json(new SiloHealth(status, self.Name, new StoreReach(store.Reachable, store.Since), new GridReach(grid.StoreReachable, grid.MajorityReachable), sessions.Count, new SpoolLevel(spool.Records, spool.Bytes, Age(spool, time), parked.Count, spool.Problem), readOnly), HealthJson.Default.SiloHealth);
    }

    private static ContentHttpResult Metrics(SessionRegistry sessions, SnapshotCell snapshots, StoreHealth store, ReadOnlyStart start, GridHealth grid, Spool.Spool spool, ParkedFacts parked, HistoryDelivery delivery, TimeProvider time, DrainState drain, StreamMetrics streams, LeaseMetrics leases, RevocationMetrics revocation)
    {
        var text = new StringBuilder($"""
            # HELP relay_sessions Sessions that live on this silo.
            # TYPE relay_sessions gauge
            relay_sessions {sessions.Count}
            # HELP relay_organizations Organizations this silo decides for.
            # TYPE relay_organizations gauge
            relay_organizations {snapshots.Versions().Count}
            # HELP relay_store_reachable Whether this silo reaches PostgreSQL directly.
            # TYPE relay_store_reachable gauge
            relay_store_reachable {(store.Reachable ? 1 : 0)}
            # HELP relay_grid_store_reachable Whether this silo reaches PostgreSQL directly or through another silo.
            # TYPE relay_grid_store_reachable gauge
            relay_grid_store_reachable {(grid.StoreReachable ? 1 : 0)}
            # HELP relay_grid_majority_reachable Whether a majority of the silos answers this one.
            # TYPE relay_grid_majority_reachable gauge
            relay_grid_majority_reachable {(grid.MajorityReachable ? 1 : 0)}
            # HELP relay_read_only Whether this silo was started without the store and has not reached it yet.
            # TYPE relay_read_only gauge
            relay_read_only {(start.IsActive ? 1 : 0)}
            # HELP relay_spool_records Facts of history that wait on this silo's disk for the store.
            # TYPE relay_spool_records gauge
            relay_spool_records {spool.Records}
            # HELP relay_spool_bytes Their bytes on disk.
            # TYPE relay_spool_bytes gauge
            relay_spool_bytes {spool.Bytes}
            # HELP relay_spool_oldest_seconds Age of the oldest of them; 0: there is none.
            # TYPE relay_spool_oldest_seconds gauge
            relay_spool_oldest_seconds {Age(spool, time)}
            # HELP relay_spool_full Whether history cannot be kept on this silo's disk: its limit is reached, or the disk takes no more.
            # TYPE relay_spool_full gauge
            relay_spool_full {(spool.Problem is null ? 0 : 1)}
            # HELP relay_spool_parked_records Facts that wait for what another silo has still to deliver.
            # TYPE relay_spool_parked_records gauge
            relay_spool_parked_records {parked.Count}
            # HELP relay_spool_delivered_total Spooled facts that the store has taken.
            # TYPE relay_spool_delivered_total counter
            relay_spool_delivered_total {delivery.Delivered}
            # HELP relay_spool_dropped_total Spooled facts that the store will never take: each is an error in the log.
            # TYPE relay_spool_dropped_total counter
            relay_spool_dropped_total {parked.Dropped}

            """);
        text.Append(System.Globalization.CultureInfo.InvariantCulture, $"# HELP relay_draining Whether this silo takes no new work.\n# TYPE relay_draining gauge\nrelay_draining {(drain.IsDraining ? 1 : 0)}\n");
        streams.Render(text);
        leases.Render(text);
        revocation.Render(text);
        return TypedResults.Text(text.ToString(), "text/plain; version=0.0.4");
    }

    private static long Age(Spool.Spool spool, TimeProvider time) => spool.Oldest is { } oldest ? Math.Max(0, (long)(time.GetUtcNow() - oldest).TotalSeconds) : 0;
}

/// <summary>The answer of /health.</summary>
/// <param name="Status">"ok", or one sentence about what is not.</param>
/// <param name="ReadOnly">Null: the silo has read the store.</param>
internal sealed record SiloHealth(string Status, string Silo, StoreReach Store, GridReach Grid, int Sessions, SpoolLevel Spool, ReadOnlyState? ReadOnly);

/// <summary>A silo that was started without the store and has not reached it yet.</summary>
/// <param name="ConfirmedAt">When the store last confirmed the snapshot that was on disk.</param>
/// <param name="Versions">By which version of each organization it decides now.</param>
internal sealed record ReadOnlyState(DateTimeOffset Since, DateTimeOffset ConfirmedAt, IReadOnlyDictionary<Guid, long> Versions);

/// <summary>Whether the silo reaches the store directly, and since when that is so.</summary>
internal sealed record StoreReach(bool Reachable, DateTimeOffset Since);

/// <summary>What the silo knows of the grid: whether the store is reachable directly or through a peer, and whether a majority of the silos answers.</summary>
internal sealed record GridReach(bool StoreReachable, bool MajorityReachable);

/// <summary>History that waits on this silo's disk.</summary>
/// <param name="Parked">Facts that wait for what another silo has still to deliver.</param>
/// <param name="Problem">Why no more is taken; null: it is.</param>
internal sealed record SpoolLevel(long Records, long Bytes, long OldestSeconds, long Parked, string? Problem);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(SiloHealth))]
[JsonSerializable(typeof(WaitingHealth))]
internal sealed partial class HealthJson : JsonSerializerContext;
