namespace Relay.Tests.Silo.Fencing.Model;

/// <summary>A machine with a process: its clock drifts, it can be frozen, killed and started again. Real time is in milliseconds.</summary>
internal class ModelNode(LeaseModel model, string name)
{
    private readonly Queue<(int Life, Action Step)> _held = new();
    private readonly double _rate = model.Random.Chance(50) ? 1 : 1 + (model.Random.Between(-1000, 1000) / 1_000_000.0);
    private readonly long _offset = model.Random.Between(0, 100_000);
    private long _frozenAt;
    private long _stoodStill;

    public string Name => name;

    /// <summary>Which process runs here; 0: none.</summary>
    public int Life { get; private set; }

    public bool Alive => Life != 0;

    public bool Frozen { get; private set; }

    private int Lives { get; set; }

    /// <summary>This machine's monotonic clock.</summary>
    public TimeSpan Now => TimeSpan.FromMilliseconds(_offset + ((model.Now - (model.Off == Guard.BootTime ? _stoodStill + (Frozen ? model.Now - _frozenAt : 0) : 0)) * _rate));

    public void Start() => Life = ++Lives;

    public void Kill()
    {
        Life = 0;
        Frozen = false;
        _held.Clear();
    }

    public void Freeze()
    {
        if (!Alive || Frozen) return;
        Frozen = true;
        _frozenAt = model.Now;
    }

    public void Thaw()
    {
        if (!Frozen) return;
        Frozen = false;
        _stoodStill += model.Now - _frozenAt;
        // What piled up happens now, in its order; each may be held up a little, and another freeze may come between.
        var delay = 0;
        while (_held.TryDequeue(out var held)) After(delay += model.Random.Next(3), held.Life, held.Step);
    }

    /// <summary>A step of the process that runs here now; lost when that process is gone by then, late when it is frozen.</summary>
    public void After(int delayMs, Action step) => After(delayMs, Life, step);

    private void After(int delayMs, int life, Action step) => model.At(model.Now + delayMs, () => Run(life, step));

    /// <summary>Something arrives for a process.</summary>
    public void Run(int life, Action step)
    {
        if (life != Life || life == 0) return;
        if (Frozen) _held.Enqueue((life, step));
        else step();
    }
}
