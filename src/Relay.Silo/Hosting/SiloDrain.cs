using Relay.Silo.Connectors;
using Relay.Silo.Fencing;
using Relay.Silo.Grid;
using Relay.Silo.Sessions;

namespace Relay.Silo.Hosting;

/// <summary>
/// The way down, before anything is stopped: says so, takes nothing new, hands connectors to other silos, and waits for sessions
/// that go through here. At the limit, or at once on a second signal, they end with the reason. Sessions stay this silo's to the
/// last: it judges, records, kills and ends them as ever.
/// </summary>
internal sealed partial class SiloDrain : IHostedLifecycleService
{
    // Agents that cannot go anywhere keep nobody waiting.
    private static readonly TimeSpan HandOverTime = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan AnnounceTime = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan ReportTime = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(100);

    private readonly SiloOptions _options;
    private readonly DrainState _state;
    private readonly IGridLeaving _membership;
    private readonly SessionRegistry _sessions;
    private readonly ConnectorListener _connectors;
    private readonly TransitStreams _transit;
    private readonly SiloFence _fence;
    private readonly SiloIdentity _self;
    private readonly TimeProvider _time;
    private readonly ILogger<SiloDrain> _logger;

    public SiloDrain(
        SiloOptions options, DrainState state, IGridLeaving membership, SessionRegistry sessions, ConnectorListener connectors, TransitStreams transit,
        SiloFence fence, SiloIdentity self, TimeProvider time, ILogger<SiloDrain> logger)
    {
        _options = options;
        _state = state;
        _membership = membership;
        _sessions = sessions;
        _connectors = connectors;
        _transit = transit;
        _fence = fence;
        _self = self;
        _time = time;
        _logger = logger;

        // Who was declared dead has nothing to hand over: others may have taken it already.
        membership.Evicted += state.EndNow;
    }

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        _state.Begin();
        if (_fence.IsFenced)
            _state.EndNow();
        LogDraining(_sessions.Count, _connectors.Serving, _options.DrainTime.TotalSeconds);
        var begun = _time.GetTimestamp();
        using var limit = new CancellationTokenSource(_options.DrainTime, _time);
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, _state.Hurry, cancellationToken);
        await AnnounceAsync(enough.Token);
        var leaving = _state.Hurry.IsCancellationRequested ? Task.CompletedTask : _connectors.LeaveAsync();
        while (!enough.IsCancellationRequested && !IsEmpty(_time.GetElapsedTime(begun)))
        {
            await Task.Delay(Look, _time, enough.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (_fence.IsFenced)
                _state.EndNow();
        }

        if (leaving.IsCompleted)
            await leaving;
        var (sessions, streams) = (_sessions.Count, _transit.Count);
        if (sessions == 0 && streams == 0)
        {
            LogDrained(_time.GetElapsedTime(begun).TotalSeconds);
            return;
        }

        LogEnding(sessions, streams, _state.Hurry.IsCancellationRequested ? "a second signal, or declared dead" : "the limit is reached");
        var reason = $"silo {_self.Name}, which carried it, is shutting down; connect again to go on";
        await _transit.EndAsync($"ended: silo {_self.Name} shut down", reason, cancellationToken);
        _sessions.EndAll($"ended: silo {_self.Name} shut down", reason);
        await _sessions.ReportedAsync(ReportTime, cancellationToken);
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken)
    {
        _membership.Evicted -= _state.EndNow;
        LogStopped();
        return Task.CompletedTask;
    }

    private bool IsEmpty(TimeSpan elapsed) =>
        _sessions.Count == 0 && _transit.Count == 0 && _connectors.OpenStreams == 0 && (_connectors.Attached == 0 || elapsed >= HandOverTime);

    private async Task AnnounceAsync(CancellationToken enough)
    {
        using var late = new CancellationTokenSource(AnnounceTime, _time);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(late.Token, enough);
        try
        {
            await _membership.LeaveAsync(stop.Token).WaitAsync(stop.Token);
        }
        catch (Exception e)
        {
            // Without the database it is said by this silo alone, to its gateways and connectors: they are told below in any case.
            LogNotAnnounced(e.Message);
        }
    }

#pragma warning disable SYSLIB1015 // The rest are fields of the line, not words of the message.
    [LoggerMessage(4403, LogLevel.Information, "silo draining")]
    private partial void LogDraining(int sessions, int connectors, double limitSeconds);

    [LoggerMessage(4404, LogLevel.Information, "silo drained")]
    private partial void LogDrained(double seconds);

    [LoggerMessage(4405, LogLevel.Warning, "ending what is left")]
    private partial void LogEnding(int sessions, int streams, string cause);

    [LoggerMessage(4406, LogLevel.Warning, "the membership could not be told that this silo leaves: {Cause}")]
    private partial void LogNotAnnounced(string cause);

    [LoggerMessage(4407, LogLevel.Information, "silo stopped")]
    private partial void LogStopped();
#pragma warning restore SYSLIB1015
}
