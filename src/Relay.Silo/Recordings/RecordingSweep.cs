namespace Relay.Silo.Recordings;

/// <summary>Finds recordings whose gateway never delivered the end.</summary>
internal sealed partial class RecordingSweep(RecordingStates states, TimeProvider time, ILogger<RecordingSweep> logger) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);

    private bool _failing;

    /// <summary>Looks once. What keeps it from looking is told when it begins and when it is over, not each time.</summary>
    internal async Task LookAsync(CancellationToken cancellationToken)
    {
        try
        {
            if (await states.SweepAsync(cancellationToken) is var failed and > 0)
                LogFailed(logger, failed);
            if (_failing)
                LogSweepsAgain(logger);
            _failing = false;
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            if (!_failing)
                LogSweepFailed(logger, e.Message);
            _failing = true;
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
            await LookAsync(stoppingToken);
    }

    [LoggerMessage(4301, LogLevel.Warning, "{Count} sessions ended without the last part of their recording")]
    private static partial void LogFailed(ILogger logger, int count);

    [LoggerMessage(4302, LogLevel.Warning, "recordings could not be checked: {Reason}")]
    private static partial void LogSweepFailed(ILogger logger, string reason);

    [LoggerMessage(4303, LogLevel.Information, "recordings are checked again")]
    private static partial void LogSweepsAgain(ILogger logger);
}
