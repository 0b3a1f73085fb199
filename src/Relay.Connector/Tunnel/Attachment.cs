using Relay.Protocol.Grid;
using Relay.Protocol.Tunnel;

namespace Relay.Connector.Tunnel;

/// <summary>
/// One accepted attachment: what the silo answered, whether it is heard, and why it ended. A feature of its connection and of every
/// request on it. Safe for concurrent use.
/// </summary>
[System.Diagnostics.CodeAnalysis.SuppressMessage("Design", "CA1001", Justification = "Requests may still look at the token; a source without timer or wait handle holds nothing to dispose.")]
internal sealed class Attachment
{
    private readonly TaskCompletionSource<Goodbye> _dismissed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _retired = new();
    private readonly Lock _lock = new();
    private TaskCompletionSource _silent = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private ITimer? _patience;

    public Attachment(string server, AttachResponse answer)
    {
        Server = server;
        Answer = answer;
        Retired = _retired.Token;
    }

    /// <summary>The address that was dialled.</summary>
    public string Server { get; }

    public AttachResponse Answer { get; }

    public long Epoch => Answer.Epoch;

    /// <summary>Called with each announcement of silos. Null: nobody listens.</summary>
    public Action<SiloAnnouncements>? Announced { get; set; }

    /// <summary>How much later than announced a sign of life may come.</summary>
    public TimeSpan Slack { get; set; } = TimeSpan.FromMilliseconds(750);

    /// <summary>Measures silence.</summary>
    public TimeProvider Time { get; set; } = TimeProvider.System;

    /// <summary>Ends with what the silo said before it closed; never when it said nothing.</summary>
    public Task<Goodbye> Dismissed => _dismissed.Task;

    /// <summary>Ends when the silo has been silent for longer than it said it would be; never for one that gives no signs of life.</summary>
    public Task Silent
    {
        get
        {
            lock (_lock)
                return _silent.Task;
        }
    }

    /// <summary>Cancelled when the agent is attached elsewhere: this tunnel only finishes its streams.</summary>
    public CancellationToken Retired { get; }

    public void Dismiss(Goodbye goodbye) => _dismissed.TrySetResult(goodbye);

    /// <summary>Tells the silo, by ending what it waits for, that no more streams are taken.</summary>
    public void Retire()
    {
        lock (_lock)
        {
            _patience?.Dispose();
            _patience = null;
        }

        _retired.Cancel();
    }

    /// <summary>A line of the control stream: the silo lives.</summary>
    public void Hear(TunnelMessage message)
    {
        lock (_lock)
        {
            if (_retired.IsCancellationRequested)
                return;
            if (_silent.Task.IsCompleted)
                _silent = new(TaskCreationOptions.RunContinuationsAsynchronously);
            if (message is { Type: "ping", NextMs: > 0 and < 60_000 })
            {
                var patience = TimeSpan.FromMilliseconds(message.NextMs.Value) + Slack;
                if (_patience is null)
                    _patience = Time.CreateTimer(static a => ((Attachment)a!).FallSilent(), this, patience, Timeout.InfiniteTimeSpan);
                else
                    _patience.Change(patience, Timeout.InfiniteTimeSpan);
            }
        }

        if (message is { Type: "silos", Silos: { } silos })
            Announced?.Invoke(silos);
    }

    private void FallSilent()
    {
        lock (_lock)
            _silent.TrySetResult();
    }
}
