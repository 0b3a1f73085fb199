namespace Relay.Gateway.Grid;

/// <summary>One known silo: its link, and what was measured. Written by its own loop, read by the choice.</summary>
internal sealed class SiloState(SiloLink link, CancellationTokenSource stop)
{
    private long _roundTripTicks = long.MaxValue;
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

    /// <summary>Smoothed time of one small request on a warm connection; MaxValue before the first.</summary>
    public TimeSpan RoundTrip => new(Interlocked.Read(ref _roundTripTicks));

    /// <summary>Timestamp until which a failed silo is not chosen while another one can be; 0: chosen freely.</summary>
    public long AvoidUntil { get; set; }

    public void Measured(TimeSpan roundTrip)
    {
        var former = Interlocked.Read(ref _roundTripTicks);
        Interlocked.Exchange(ref _roundTripTicks, former == long.MaxValue ? roundTrip.Ticks : ((former * 3) + roundTrip.Ticks) / 4);
    }
}
