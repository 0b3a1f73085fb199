using Npgsql;
using Relay.Silo.Spool;
using Relay.Silo.Storage;

namespace Relay.Silo.History;

/// <summary>
/// Brings the spool's facts to the store, in order, a batch per transaction. What the store does not take must not hold up the rest:
/// it goes to <see cref="ParkedFacts"/>.
/// </summary>
internal sealed partial class HistoryDelivery(StoreHealth health, FactApplier applier, Spool.Spool spool, ParkedFacts parked, TimeProvider time, ILogger<HistoryDelivery> logger) : BackgroundService
{
    private const int BatchRecords = 256;
    private const int BatchBytes = 4 * 1024 * 1024;
    private static readonly TimeSpan Idle = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(2);
    private long _delivered;

    /// <summary>Facts delivered since the start.</summary>
    public long Delivered => Interlocked.Read(ref _delivered);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var failures = 0;
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await health.WhenReachableAsync(stoppingToken);
                if (spool.Read(BatchRecords, BatchBytes) is { } batch)
                {
                    await DeliverAsync(batch, stoppingToken);
                    spool.Delivered(batch);
                    if (spool.IsEmpty)
                        LogAllDelivered(logger, Delivered);
                }
                else
                {
                    await spool.WaitAsync(Idle, stoppingToken);
                }

                failures = 0;
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                LogNotDelivered(logger, spool.Records, e.Message);
                // Full jitter: the silos of a grid find the same store back at the same moment.
                var ceiling = Math.Min(LongestPause.TotalMilliseconds, 50 * Math.Pow(2, Math.Min(failures++, 10)));
                await Task.Delay(TimeSpan.FromMilliseconds(Random.Shared.NextDouble() * ceiling), time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    private async Task DeliverAsync(SpoolBatch batch, CancellationToken cancellationToken)
    {
        var facts = new List<Fact>(batch.Records.Count);
        foreach (var record in batch.Records)
        {
            try
            {
                facts.Add(Fact.FromPayload(record.Payload));
            }
            catch (InvalidDataException e)
            {
                await parked.KeepAsync(record.Payload);
                LogUnreadable(logger, e.Message);
            }
        }

        IReadOnlyList<FactFate> fates;
        try
        {
            fates = await applier.ApplyAsync(facts, cancellationToken);
        }
        catch (PostgresException e) when (!e.IsTransient && !StoreErrors.IsOutage(e))
        {
            // One of them: each by itself, then.
            LogBatchRefused(logger, e.SqlState);
            var alone = new List<FactFate>(facts.Count);
            foreach (var fact in facts)
                alone.Add(await applier.ApplyAloneAsync(fact, cancellationToken));
            fates = alone;
        }

        foreach (var (fact, fate) in facts.Zip(fates))
        {
            switch (fate)
            {
                case FactFate.Done:
                    Interlocked.Increment(ref _delivered);
                    LogDelivered(logger, fact.Id, fact.GetType().Name, fact.SessionId);
                    break;
                case FactFate.Never:
                    parked.Drop(fact, "refused");
                    break;
                default:
                    await parked.KeepAsync(fact.ToPayload());
                    LogParked(logger, fact.Id, fact.GetType().Name, fact.SessionId);
                    break;
            }
        }
    }

    [LoggerMessage(4611, LogLevel.Debug, "spool delivered {FactId}: {Kind} of session {SessionId}")]
    private static partial void LogDelivered(ILogger logger, Guid factId, string kind, Guid sessionId);

    [LoggerMessage(4612, LogLevel.Warning, "fact {FactId} waits for what is before it: {Kind} of session {SessionId}")]
    private static partial void LogParked(ILogger logger, Guid factId, string kind, Guid sessionId);

    [LoggerMessage(4613, LogLevel.Warning, "{Records} spooled records are not delivered yet: {Reason}")]
    private static partial void LogNotDelivered(ILogger logger, long records, string reason);

    [LoggerMessage(4614, LogLevel.Information, "the spool is empty, {Delivered} facts delivered since the start")]
    private static partial void LogAllDelivered(ILogger logger, long delivered);

    [LoggerMessage(4615, LogLevel.Error, "a record of the spool was put aside: {Reason}")]
    private static partial void LogUnreadable(ILogger logger, string reason);

    [LoggerMessage(4618, LogLevel.Warning, "the store refuses one of the spool's facts ({SqlState}): each is tried by itself")]
    private static partial void LogBatchRefused(ILogger logger, string sqlState);
}
