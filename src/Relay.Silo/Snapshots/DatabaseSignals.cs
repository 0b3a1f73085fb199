using Npgsql;

namespace Relay.Silo.Snapshots;

/// <summary>
/// Listens for what other silos and the API committed. A notification is only a hint to look now: they are lost while the
/// connection is down, so whoever listens here also polls. Handlers run on the listening task and must not block.
/// </summary>
internal sealed partial class DatabaseSignals(NpgsqlDataSource database, TimeProvider time, ILogger<DatabaseSignals> logger) : BackgroundService
{
    /// <summary>Payload: organization_id; sent by every write that bumps organization.version.</summary>
    public const string OrganizationChannel = "relay_org";

    /// <summary>Payload: session_id; sent by the write that asks for a session's end.</summary>
    public const string SessionKillChannel = "relay_session_kill";

    /// <summary>Payload: organization_id; sent by a silo that has put a version in force.</summary>
    public const string AcknowledgedChannel = "relay_ack";

    /// <summary>Sent by a silo that has learnt which target of a connector fails or works again.</summary>
    public const string TargetsChannel = "relay_targets";

    private const int KeepAliveSeconds = 5;
    private static readonly TimeSpan LongestBackOff = TimeSpan.FromSeconds(5);

    /// <summary>An organization may have changed; also raised after each (re)connection.</summary>
    public event Action? OrganizationChanged;

    /// <summary>A session may have to end; also raised after each (re)connection.</summary>
    public event Action? SessionKillRequested;

    /// <summary>A silo has put a version of some organization in force.</summary>
    public event Action? Acknowledged;

    /// <summary>A silo has learnt which targets work.</summary>
    public event Action? TargetsChanged;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        // One message when it is lost and one when it is back, however often it is tried in between.
        var failures = 0;
        var lost = false;
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await ListenAsync(
                    () =>
                    {
                        if (lost)
                            LogBack(logger);
                        (failures, lost) = (0, false);
                    },
                    stoppingToken);
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e) when (e is NpgsqlException or IOException or TimeoutException or InvalidOperationException)
            {
                if (!lost)
                    LogLost(logger, e.Message);
                lost = true;
            }

            // Full jitter: all silos lose the same database at the same moment.
            var ceiling = Math.Min(LongestBackOff.TotalMilliseconds, 50 * Math.Pow(2, Math.Min(failures++, 10)));
            await Task.Delay(TimeSpan.FromMilliseconds(Random.Shared.NextDouble() * ceiling), time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task ListenAsync(Action connected, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        connection.Notification += (_, notification) =>
        {
            switch (notification.Channel)
            {
                case OrganizationChannel:
                    OrganizationChanged?.Invoke();
                    break;
                case SessionKillChannel:
                    SessionKillRequested?.Invoke();
                    break;
                case AcknowledgedChannel:
                    Acknowledged?.Invoke();
                    break;
                case TargetsChannel:
                    TargetsChanged?.Invoke();
                    break;
            }
        };
        await using (var listen = new NpgsqlCommand($"LISTEN {OrganizationChannel}; LISTEN {SessionKillChannel}; LISTEN {AcknowledgedChannel}; LISTEN {TargetsChannel}", connection))
            await listen.ExecuteNonQueryAsync(cancellationToken);
        connected();
        OrganizationChanged?.Invoke();
        SessionKillRequested?.Invoke();
        while (true)
        {
            // A connection that a middlebox dropped stays silent for ever: ask something now and then.
            if (!await connection.WaitAsync(TimeSpan.FromSeconds(KeepAliveSeconds), cancellationToken))
            {
                await using var ping = new NpgsqlCommand("SELECT 1", connection) { CommandTimeout = KeepAliveSeconds };
                await ping.ExecuteScalarAsync(cancellationToken);
            }
        }
    }

    [LoggerMessage(4102, LogLevel.Warning, "listening for changes interrupted, polling goes on: {Reason}")]
    private static partial void LogLost(ILogger logger, string reason);

    [LoggerMessage(4112, LogLevel.Information, "changes are listened for again")]
    private static partial void LogBack(ILogger logger);
}
