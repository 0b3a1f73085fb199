using Relay.Silo.Snapshots;
using Relay.Silo.Spool;
using Relay.Silo.Storage;

namespace Relay.Silo.History;

/// <summary>
/// Facts that this silo has acknowledged and the store does not take yet: their session's beginning, or an earlier chunk, is still in
/// the spool of another silo, which may be dead. Kept in a spool of their own and tried again, in order, until they are taken or <see cref="KeepFor"/> is
/// over. Safe for concurrent use.
/// </summary>
internal sealed partial class ParkedFacts(Spool.Spool parked, StoreHealth health, FactApplier applier, TimeProvider time, ILogger<ParkedFacts> logger) : BackgroundService
{
    /// <summary>A silo that comes back later than this has nobody to wait for it.</summary>
    public static readonly TimeSpan KeepFor = TimeSpan.FromDays(7);

    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMinutes(2);
    private readonly Wakeup _more = new();
    private long _dropped;

    // Not the spool's own: what is tried in vain is in it twice until all that was tried with it is put back.
    private long _count = parked.Records;

    /// <summary>How many wait.</summary>
    public long Count => Interlocked.Read(ref _count);

    /// <summary>How many the store would never have, since the start.</summary>
    public long Dropped => Interlocked.Read(ref _dropped);

    /// <summary>Keeps a fact for later.</summary>
    /// <param name="bulk">Refused a little before the others are.</param>
    /// <exception cref="SpoolFullException">There is no place: it must stay where it is.</exception>
    public async Task KeepAsync(ReadOnlyMemory<byte> payload, bool bulk = false)
    {
        Interlocked.Increment(ref _count);
        try
        {
            await parked.AppendAsync(payload, bulk);
        }
        catch
        {
            Interlocked.Decrement(ref _count);
            throw;
        }

        _more.Set();
    }

    /// <summary>Something waits outside for what may be here: it is tried soon.</summary>
    public void Try()
    {
        if (parked.Records > 0)
            _more.Set();
    }

    /// <summary>The store says that it will never be: the session is not its gateway's, or was over for too long.</summary>
    public void Drop(Fact fact, string reason)
    {
        Interlocked.Increment(ref _dropped);
        LogDropped(logger, fact.Id, fact.GetType().Name, fact.SessionId, reason);
    }

    /// <summary>Tries each once. Returns how many were taken.</summary>
    internal async Task<int> RoundAsync(CancellationToken cancellationToken)
    {
        var taken = 0;
        // What is put back comes behind this many.
        for (var left = parked.Records; left > 0 && parked.Read(64, 4 * 1024 * 1024) is { } batch; left -= batch.Records.Count)
        {
            var putBack = 0;
            try
            {
                foreach (var record in batch.Records)
                {
                    var fact = Read(record.Payload);
                    var outcome = fact is null ? FactFate.Later : await applier.ApplyAloneAsync(fact, cancellationToken);
                    if (outcome == FactFate.Done)
                    {
                        taken++;
                    }
                    else if (fact is not null && (outcome == FactFate.Never || time.GetUtcNow() - fact.At > KeepFor))
                    {
                        Drop(fact, outcome == FactFate.Never ? "refused" : "nothing of its session has come for days");
                    }
                    else
                    {
                        await parked.AppendAsync(record.Payload, bulk: false);
                        putBack++;
                    }
                }
            }
            catch
            {
                // All of them are read again, and these besides.
                Interlocked.Add(ref _count, putBack);
                throw;
            }

            parked.Delivered(batch);
            Interlocked.Add(ref _count, putBack - batch.Records.Count);
        }

        return taken;
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var pause = FirstPause;
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await health.WhenReachableAsync(stoppingToken);
                pause = parked.Records == 0 || await RoundAsync(stoppingToken) > 0 ? FirstPause : TimeSpan.FromTicks(Math.Min(pause.Ticks * 2, LongestPause.Ticks));
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                LogRoundFailed(logger, e.Message);
            }

            // What is new may be what the rest waits for; it rarely comes alone.
            if (pause > FirstPause)
            {
                var begun = time.GetTimestamp();
                await _more.WaitAsync(pause - FirstPause, time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                if (time.GetElapsedTime(begun) < pause - FirstPause)
                    pause = FirstPause;
            }

            await Task.Delay(FirstPause, time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    public override void Dispose()
    {
        parked.Dispose();
        base.Dispose();
    }

    // A record of a newer version waits for that version.
    private static Fact? Read(ReadOnlyMemory<byte> payload)
    {
        try
        {
            return Fact.FromPayload(payload);
        }
        catch (InvalidDataException)
        {
            return null;
        }
    }

    [LoggerMessage(4616, LogLevel.Error, "fact {FactId} is not in the store: {Kind} of session {SessionId}: {Reason}")]
    private static partial void LogDropped(ILogger logger, Guid factId, string kind, Guid sessionId, string reason);

    [LoggerMessage(4617, LogLevel.Warning, "facts that wait for another silo's could not be tried: {Reason}")]
    private static partial void LogRoundFailed(ILogger logger, string reason);
}
