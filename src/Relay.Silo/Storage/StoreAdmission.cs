using Npgsql;

namespace Relay.Silo.Storage;

/// <summary>
/// Lets a silo that was started without the store have it only when it is back and was found to be the right one: this grid's, with
/// this version's schema. Until then the store counts as away, and no connection of the pool opens. Safe for concurrent use.
/// </summary>
internal sealed class StoreAdmission(StoreProbe probe, NpgsqlDataSource unpooled, Func<NpgsqlDataSource, CancellationToken, Task> check) : IStoreProbe, IAsyncDisposable
{
    private readonly Lock _lock = new();
    private readonly CancellationTokenSource _disposed = new();
    private readonly TaskCompletionSource<StorageException> _refused = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task _checking = Task.CompletedTask;
    private volatile bool _admitted;

    /// <summary>Completes, with the reason, when it is the wrong one: the silo must not go on.</summary>
    public Task<StorageException> Refused => _refused.Task;

    public async Task AskAsync(CancellationToken cancellationToken)
    {
        await probe.AskAsync(cancellationToken);
        if (_admitted)
            return;
        // Longer than an answer may take.
        lock (_lock)
        {
            if (_checking.IsCompleted && !_refused.Task.IsCompleted)
                _checking = Task.Run(CheckAsync, CancellationToken.None);
        }

        Demand();
    }

    /// <exception cref="NpgsqlException">It is not to be used yet.</exception>
    public void Demand()
    {
        if (!_admitted)
            throw new NpgsqlException("the database was away when this silo was started, and is not in use yet");
    }

    /// <inheritdoc cref="Demand"/>
    public Task DemandAsync()
    {
        Demand();
        return Task.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        await _disposed.CancelAsync();
        await _checking.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await probe.DisposeAsync();
        await unpooled.DisposeAsync();
        _disposed.Dispose();
    }

    private async Task CheckAsync()
    {
        try
        {
            await check(unpooled, _disposed.Token);
            _admitted = true;
        }
        catch (StorageException e)
        {
            _refused.TrySetResult(e);
        }
        catch (Exception e) when (StoreErrors.IsOutage(e) || e is OperationCanceledException or TimeoutException)
        {
            // Gone again: the next answer brings the next try.
        }
        catch (Exception e)
        {
            _refused.TrySetResult(new StorageException($"the database that is back cannot be used: {e.Message}", e));
        }
    }
}
