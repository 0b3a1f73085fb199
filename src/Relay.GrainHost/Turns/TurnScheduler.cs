namespace Relay.GrainHost.Turns;

/// <summary>
/// Runs the turns of one activation on the thread pool, one at a time, in the order they were queued. It is the current
/// task scheduler during a turn, so what a grain awaits resumes as a later turn of the same activation.
/// </summary>
internal sealed class TurnScheduler : TaskScheduler, IThreadPoolWorkItem
{
    /// <summary>Turns in a row before other work of the pool gets its chance.</summary>
    private const int MaxTurnsInARow = 64;

    private static readonly Action<object?> s_pump = static self => ((TurnScheduler)self!).Pump();

    private readonly Queue<object> _queue = new();
    private Task? _pump;
    private bool _scheduled;

    /// <summary>Guards the queue, and what the activation ties to it.</summary>
    public Lock Sync { get; } = new();

    public override int MaximumConcurrencyLevel => 1;

    /// <summary>Queues a turn under <see cref="Sync"/>. True: the caller must <see cref="Wake"/> after leaving it.</summary>
    public bool AddLocked(ITurn turn)
    {
        _queue.Enqueue(turn);
        return TrySetScheduled();
    }

    public void Wake() => ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: true);

    public void Add(ITurn turn)
    {
        bool wake;
        lock (Sync) wake = AddLocked(turn);
        if (wake) Wake();
    }

    void IThreadPoolWorkItem.Execute()
    {
        // A task, so that TaskScheduler.Current is this scheduler; made here, so that it takes along nobody's execution context.
        var pump = new Task(s_pump, this);
        _pump = pump;
        pump.Start(this);
        TryExecuteTask(pump);
    }

    protected override void QueueTask(Task task)
    {
        if (ReferenceEquals(task, _pump))
        {
            _pump = null;
            return;
        }

        bool wake;
        lock (Sync)
        {
            _queue.Enqueue(task);
            wake = TrySetScheduled();
        }

        if (wake) Wake();
    }

    protected override bool TryExecuteTaskInline(Task task, bool taskWasPreviouslyQueued) =>
        !taskWasPreviouslyQueued && Current == this && TryExecuteTask(task);

    protected override IEnumerable<Task> GetScheduledTasks()
    {
        lock (Sync) return [.. _queue.OfType<Task>()];
    }

    private bool TrySetScheduled()
    {
        if (_scheduled) return false;
        _scheduled = true;
        return true;
    }

    private void Pump()
    {
        for (var i = 0; i < MaxTurnsInARow; i++)
        {
            object? next;
            lock (Sync)
            {
                if (!_queue.TryDequeue(out next))
                {
                    _scheduled = false;
                    return;
                }
            }

            if (next is ITurn turn) turn.RunTurn();
            else TryExecuteTask((Task)next);
        }

        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }
}
