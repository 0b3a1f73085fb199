namespace Relay.Gateway.Grid;

/// <summary>One known silo: its link and whether it answers. Written by its own loop, read by the questions.</summary>
[System.Diagnostics.CodeAnalysis.SuppressMessage("Design", "CA1001", Justification = "Tokens may still be about to be linked; a source without timer or wait handle holds nothing to dispose.")]
internal sealed class SiloState(SiloLink link, CancellationTokenSource stop)
{
    private readonly Lock _lock = new();
    private CancellationTokenSource _down = new();
    private volatile bool _subscribed;

    public SiloLink Link { get; } = link;

    public CancellationTokenSource Stop { get; } = stop;

    public Task Running { get; set; } = Task.CompletedTask;

    /// <summary>Control streams that failed in a row.</summary>
    public int Failures { get; set; }

    /// <summary>The control stream is open: the silo can be asked, and can end sessions.</summary>
    public bool Subscribed
    {
        get => _subscribed;
        set => _subscribed = value;
    }

    /// <summary>Cancelled when the silo is next found not to answer: whoever waits for it asks another one.</summary>
    public CancellationToken Down
    {
        get
        {
            lock (_lock)
                return _down.Token;
        }
    }

    /// <summary>It does not answer: wakes those who wait for it. Later questions may try it again.</summary>
    public void GoDown()
    {
        CancellationTokenSource down;
        lock (_lock)
            (down, _down) = (_down, new CancellationTokenSource());

        down.Cancel();
    }
}
