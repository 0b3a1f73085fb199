using Npgsql;
using Relay.Silo.Spool;
using Relay.Silo.Storage;

namespace Relay.Silo.History;

/// <summary>
/// Brings the spool's facts to the store, in order, a batch per transaction. What the store refuses for good is put aside, sealed, with
/// an error in the log: it must not hold up the rest, and is not thrown away.
/// </summary>
internal sealed partial class HistoryDelivery(
    NpgsqlDataSource database, StoreHealth health, FactTable table, Spool.Spool spool, RefusedFacts refused, TimeProvider time, ILogger<HistoryDelivery> logger) : BackgroundService
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
        var results = new List<(Fact Fact, FactResult Result)>(batch.Records.Count);
        var facts = new List<Fact>(batch.Records.Count);
        foreach (var record in batch.Records)
        {
            try
            {
                facts.Add(Fact.FromPayload(record.Payload));
            }
            catch (InvalidDataException e)
            {
                await refused.KeepAsync(record.Payload);
                LogUnreadable(logger, e.Message);
            }
        }

        try
        {
            await health.RunAsync(cancellation => ApplyAsync(facts, results, cancellation), cancellationToken);
        }
        catch (PostgresException e) when (e is { IsTransient: false })
        {
            // One of them: each by itself, then.
            results.Clear();
            foreach (var fact in facts)
                await DeliverAloneAsync(fact, results, cancellationToken);
        }

        foreach (var (fact, result) in results)
        {
            Interlocked.Increment(ref _delivered);
            LogDelivered(logger, fact.Id, fact.GetType().Name, fact.SessionId, result);
            if (result == FactResult.Written)
                continue;
            // It was acknowledged when nobody could know better.
            LogRefused(logger, fact.Id, fact.GetType().Name, fact.SessionId, result.ToString());
            if (fact is ChunkRecorded)
                await refused.KeepAsync(fact.ToPayload());
            else
                refused.Count();
        }
    }

    private async Task DeliverAloneAsync(Fact fact, List<(Fact, FactResult)> results, CancellationToken cancellationToken)
    {
        try
        {
            await health.RunAsync(cancellation => ApplyAsync([fact], results, cancellation), cancellationToken);
        }
        catch (PostgresException e) when (e is { IsTransient: false })
        {
            await refused.KeepAsync(fact.ToPayload());
            LogRefused(logger, fact.Id, fact.GetType().Name, fact.SessionId, e.SqlState);
        }
    }

    private async Task ApplyAsync(List<Fact> facts, List<(Fact Fact, FactResult Result)> results, CancellationToken cancellationToken)
    {
        var applied = new List<(Fact, FactResult)>(facts.Count);
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        foreach (var fact in facts)
            applied.Add((fact, await table.ApplyAsync(connection, transaction, fact, cancellationToken)));
        await transaction.CommitAsync(cancellationToken);
        results.AddRange(applied);
    }

    [LoggerMessage(4611, LogLevel.Debug, "spool delivered {FactId}: {Kind} of session {SessionId}: {Result}")]
    private static partial void LogDelivered(ILogger logger, Guid factId, string kind, Guid sessionId, FactResult result);

    [LoggerMessage(4612, LogLevel.Error, "the store refused fact {FactId}: {Kind} of session {SessionId}: {Reason}")]
    private static partial void LogRefused(ILogger logger, Guid factId, string kind, Guid sessionId, string reason);

    [LoggerMessage(4613, LogLevel.Warning, "{Records} spooled records are not delivered yet: {Reason}")]
    private static partial void LogNotDelivered(ILogger logger, long records, string reason);

    [LoggerMessage(4614, LogLevel.Information, "the spool is empty, {Delivered} facts delivered since the start")]
    private static partial void LogAllDelivered(ILogger logger, long delivered);

    [LoggerMessage(4615, LogLevel.Error, "a record of the spool was put aside: {Reason}")]
    private static partial void LogUnreadable(ILogger logger, string reason);
}
