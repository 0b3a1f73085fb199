using System.Net;
using Dapper;
using Npgsql;
using Relay.Protocol.Grid;
using Relay.Silo.Storage;

namespace Relay.Silo.Devices;

/// <summary>
/// What gateways report of devices, on its way into the table: the latest of each device, its bytes added up, written every two seconds. Nobody waits for
/// it, and while the store is away it waits here, so many devices at most. Safe for concurrent use.
/// </summary>
internal sealed partial class DeviceStatuses(NpgsqlDataSource database, StoreHealth store, TimeProvider time, ILogger<DeviceStatuses> logger) : BackgroundService
{
    private const int MaxWaiting = 65_536;
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);

    private readonly Lock _lock = new();
    private Dictionary<Guid, Status> _waiting = [];

    /// <summary>Takes what a gateway says; what makes no sense is left out.</summary>
    public void Take(string gateway, IReadOnlyList<DeviceReport> reports)
    {
        var now = time.GetUtcNow();
        lock (_lock)
        {
            foreach (var report in reports)
            {
                // A gateway's clock that is ahead must not hide what others say for long.
                if (report is { Endpoint: { Length: <= 64 } endpoint, BytesUp: >= 0, BytesDown: >= 0 } && IPEndPoint.TryParse(endpoint, out _))
                    Add(_waiting, report.DeviceId, new Status(report.LastHandshake < now ? report.LastHandshake : now, endpoint, gateway, report.BytesUp, report.BytesDown));
            }
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            while (true)
            {
                await Task.Delay(Interval, time, stoppingToken);
                await FlushAsync(stoppingToken);
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The last two seconds of what is for people only.
        }
    }

    private async Task FlushAsync(CancellationToken cancellationToken)
    {
        Dictionary<Guid, Status> taken;
        lock (_lock)
        {
            if (_waiting.Count == 0)
                return;
            (taken, _waiting) = (_waiting, []);
        }

        try
        {
            // In one order everywhere: silos write the same rows.
            var rows = taken.OrderBy(s => s.Key).ToArray();
            await store.RunAsync(
                async cancellation =>
                {
                    await using var connection = await database.OpenConnectionAsync(cancellation);
                    await connection.ExecuteAsync(new CommandDefinition(
                        """
                        INSERT INTO device_status AS s (device_id, last_handshake_at, endpoint, gateway, bytes_up, bytes_down)
                        SELECT n.* FROM unnest(@ids, @times, @endpoints, @gateways, @up, @down) AS n (device_id, last_handshake_at, endpoint, gateway, bytes_up, bytes_down)
                        JOIN device d USING (device_id) ORDER BY n.device_id
                        ON CONFLICT (device_id) DO UPDATE SET
                          last_handshake_at = greatest(s.last_handshake_at, excluded.last_handshake_at),
                          endpoint = CASE WHEN excluded.last_handshake_at >= s.last_handshake_at THEN excluded.endpoint ELSE s.endpoint END,
                          gateway = CASE WHEN excluded.last_handshake_at >= s.last_handshake_at THEN excluded.gateway ELSE s.gateway END,
                          bytes_up = s.bytes_up + excluded.bytes_up,
                          bytes_down = s.bytes_down + excluded.bytes_down
                        """,
                        new
                        {
                            ids = rows.Select(r => r.Key).ToArray(),
                            times = rows.Select(r => r.Value.LastHandshake.UtcDateTime).ToArray(),
                            endpoints = rows.Select(r => r.Value.Endpoint).ToArray(),
                            gateways = rows.Select(r => r.Value.Gateway).ToArray(),
                            up = rows.Select(r => r.Value.BytesUp).ToArray(),
                            down = rows.Select(r => r.Value.BytesDown).ToArray(),
                        },
                        cancellationToken: cancellation));
                },
                cancellationToken);
        }
        catch (Exception e) when (e is StoreUnavailableException or NpgsqlException)
        {
            // Also a device that was deleted in between: the next time it is not there.
            LogNotWritten(logger, taken.Count, e.Message);
            lock (_lock)
            {
                foreach (var (id, status) in _waiting)
                    Add(taken, id, status);
                _waiting = taken;
            }
        }
    }

    private static void Add(Dictionary<Guid, Status> statuses, Guid id, Status status)
    {
        if (statuses.TryGetValue(id, out var former))
        {
            var latest = status.LastHandshake >= former.LastHandshake ? status : former;
            statuses[id] = latest with { BytesUp = former.BytesUp + status.BytesUp, BytesDown = former.BytesDown + status.BytesDown };
        }
        else if (statuses.Count < MaxWaiting)
        {
            statuses[id] = status;
        }
    }

    private sealed record Status(DateTimeOffset LastHandshake, string Endpoint, string Gateway, long BytesUp, long BytesDown);

    [LoggerMessage(4722, LogLevel.Debug, "what gateways said of {Devices} devices waits: {Reason}")]
    private static partial void LogNotWritten(ILogger logger, int devices, string reason);
}
