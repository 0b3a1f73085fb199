namespace Relay.Silo.Recordings;

/// <summary>Finds recordings whose gateway never delivered the end.</summary>
internal sealed partial class RecordingSweep(RecordingStates states, TimeProvider time, ILogger<RecordingSweep> logger) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                if (await states.SweepAsync(stoppingToken) is var failed and > 0)
                    LogFailed(logger, failed);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                LogSweepFailed(logger, e.Message);
            }
        }
    }

    [LoggerMessage(4301, LogLevel.Warning, "{Count} sessions ended without the last part of their recording")]
    private static partial void LogFailed(ILogger logger, int count);

    [LoggerMessage(4302, LogLevel.Warning, "recordings could not be checked: {Reason}")]
    private static partial void LogSweepFailed(ILogger logger, string reason);
}
