namespace Relay.Chaos.Grid;

/// <summary>Where one program always runs: it is started again whenever it ends, as an init system would, except while it is held down.</summary>
internal sealed class Place : IAsyncDisposable
{
    private readonly Func<NodeProcess> _start;
    private readonly TimeSpan _pause;
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _lock = new();
    private TaskCompletionSource _allowed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task _supervising = Task.CompletedTask;

    /// <param name="pause">Between an end and the next start.</param>
    public Place(string node, TimeSpan pause, Func<NodeProcess> start)
    {
        (Node, _pause, _start) = (node, pause, start);
        _allowed.SetResult();
    }

    public string Node { get; }

    /// <summary>The latest start.</summary>
    public NodeProcess Process { get; private set; } = null!;

    /// <summary>Starts the program and keeps it.</summary>
    public void Run()
    {
        Process = _start();
        _supervising = SuperviseAsync();
    }

    /// <summary>From now on it is not started again. Nothing happens to one that runs.</summary>
    public void Hold()
    {
        lock (_lock)
        {
            if (_allowed.Task.IsCompleted)
                _allowed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }
    }

    public void Release()
    {
        lock (_lock)
            _allowed.TrySetResult();
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        if (Process is not null)
            await Process.DisposeAsync();
        await _supervising;
        _stop.Dispose();
    }

    private async Task SuperviseAsync()
    {
        try
        {
            while (true)
            {
                await Process.Ended;
                await Task.Delay(_pause, TimeProvider.System, _stop.Token);
                Task allowed;
                lock (_lock)
                    allowed = _allowed.Task;
                await allowed.WaitAsync(_stop.Token);
                Process = _start();
            }
        }
        catch (OperationCanceledException)
        {
            // The run is over.
        }
    }
}
