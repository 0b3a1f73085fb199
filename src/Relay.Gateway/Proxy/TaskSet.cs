namespace Relay.Gateway.Proxy;

/// <summary>Tasks that run side by side and are waited for together. Safe for concurrent use.</summary>
internal sealed class TaskSet
{
    private readonly Lock _lock = new();
    private readonly HashSet<Task> _running = [];

    /// <summary>Starts one; it must handle its own failures.</summary>
    public void Run(Func<Task> work)
    {
        var task = Task.Run(work);
        lock (_lock)
        {
            _running.Add(task);
        }

        _ = task.ContinueWith(
            static (done, set) => ((TaskSet)set!).Remove(done), this, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
    }

    /// <summary>True when all have ended within the limit.</summary>
    public async Task<bool> WaitAsync(TimeSpan limit, TimeProvider time)
    {
        Task[] running;
        lock (_lock)
        {
            running = [.. _running];
        }

        try
        {
            await Task.WhenAll(running).WaitAsync(limit, time);
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    private void Remove(Task task)
    {
        lock (_lock)
        {
            _running.Remove(task);
        }
    }
}
