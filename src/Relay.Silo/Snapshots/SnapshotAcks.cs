using System.Collections.Concurrent;
using Relay.Silo.Storage;

namespace Relay.Silo.Snapshots;

/// <summary>
/// Says of every organization which version this silo runs, once what lost its right by it is closed and never before; so "in force on
/// 3 of 3 silos" is a fact. What the store cannot take now is said when it is back. Safe for concurrent use.
/// </summary>
/// <remarks>
/// Durations are by one clock each: the store says how old the change was when it took the acknowledgement, and the time that had passed
/// here since the closing, by this process's monotonic clock, is taken off. No two clocks are compared.
/// </remarks>
internal sealed partial class SnapshotAcks(ISnapshotAckStore store, RevocationMetrics metrics, TimeProvider time, ILogger<SnapshotAcks> logger) : IHostedService, IDisposable
{
    private static readonly TimeSpan RetryInterval = TimeSpan.FromMilliseconds(250);

    // A stream that does not end although it was cut is a fault that somebody has to look at.
    private static readonly TimeSpan SlowClosing = TimeSpan.FromSeconds(5);

    private readonly ConcurrentDictionary<Guid, Task> _tails = new();
    private readonly CancellationTokenSource _stopping = new();

    /// <summary>A version is in use from now on.</summary>
    /// <param name="previous">The version before; null: there was none here.</param>
    /// <param name="closings">From the observers.</param>
    /// <param name="kept">Over when no earlier version would be decided by after a crash; null: it already is.</param>
    public void Applied(Guid organizationId, long? previous, long version, IReadOnlyList<Task> closings, Task? kept = null)
    {
        var closed = closings.Select(StampAsync).ToArray();

        // One after the other: a version says that everything of the earlier ones is closed too.
        _tails.AddOrUpdate(
            organizationId,
            static (_, a) => a.Self.FollowAsync(Task.CompletedTask, a.Id, a.Previous, a.Version, a.Closed, a.Kept),
            static (_, tail, a) => a.Self.FollowAsync(tail, a.Id, a.Previous, a.Version, a.Closed, a.Kept),
            (Self: this, Id: organizationId, Previous: previous, Version: version, Closed: closed, Kept: kept ?? Task.CompletedTask));
    }

    /// <summary>Everything applied so far is acknowledged, or never will be.</summary>
    public Task SettledAsync() => Task.WhenAll(_tails.Values);

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        try
        {
            await store.SweepAsync(cancellationToken);
        }
        catch (Exception e) when (StoreErrors.IsOutage(e))
        {
            // Only tidiness.
        }
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await _stopping.CancelAsync();
        await SettledAsync();
    }

    public void Dispose() => _stopping.Dispose();

    private async Task<long> StampAsync(Task closing)
    {
        await closing.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        return time.GetTimestamp();
    }

    private async Task FollowAsync(Task before, Guid organizationId, long? previous, long version, Task<long>[] closings, Task kept)
    {
        await before;
        Task all = Task.WhenAll(closings);
        try
        {
            await all.WaitAsync(SlowClosing, time, _stopping.Token);
        }
        catch (TimeoutException)
        {
            LogSlow(logger, organizationId, version, closings.Count(c => !c.IsCompleted));
            await all.WaitAsync(Timeout.InfiniteTimeSpan, time, _stopping.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        catch (OperationCanceledException)
        {
            return;
        }

        if (!all.IsCompleted)
            return;
        var inForce = time.GetTimestamp();
        await kept.WaitAsync(_stopping.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        while (!_stopping.IsCancellationRequested)
        {
            try
            {
                var sent = time.GetTimestamp();
                var age = await store.WriteAsync(organizationId, previous ?? version, version, _stopping.Token);
                if (age is { } total && previous is not null)
                    Observe(total, sent, inForce, closings);
                LogAcknowledged(logger, organizationId, version, closings.Length);
                return;
            }
            catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e) when (StoreErrors.IsOutage(e) || e is OperationCanceledException)
            {
                await Task.Delay(RetryInterval, time, _stopping.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
            catch (Exception e)
            {
                // The next version is acknowledged anew; until then this silo counts as one that has not confirmed.
                LogFailed(logger, organizationId, version, e.Message);
                return;
            }
        }
    }

    private void Observe(TimeSpan age, long sent, long inForce, Task<long>[] closings)
    {
        foreach (var closing in closings)
            metrics.Revocation.Observe(age - time.GetElapsedTime(closing.Result, sent));
        metrics.InForce.Observe(age - time.GetElapsedTime(inForce, sent));
    }

    [LoggerMessage(4107, LogLevel.Debug, "organization {OrganizationId} is in force at version {Version}, {Closed} closed")]
    private static partial void LogAcknowledged(ILogger logger, Guid organizationId, long version, int closed);

    [LoggerMessage(4108, LogLevel.Error, "version {Version} of organization {OrganizationId} is not in force here yet: {Open} sessions or tunnels are not closed")]
    private static partial void LogSlow(ILogger logger, Guid organizationId, long version, int open);

    [LoggerMessage(4109, LogLevel.Error, "version {Version} of organization {OrganizationId} could not be acknowledged: {Reason}")]
    private static partial void LogFailed(ILogger logger, Guid organizationId, long version, string reason);
}
