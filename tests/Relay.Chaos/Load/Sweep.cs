using System.Diagnostics;
using Relay.Chaos.Grid;

namespace Relay.Chaos.Load;

/// <summary>Tries a new session from every gateway to every socket, again and again, until each has worked once.</summary>
internal static class Sweep
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(250);

    /// <summary>Seconds until all had worked; Failure null then, else what did not.</summary>
    public static async Task<(double Seconds, string? Failure)> RunAsync(ChaosGrid grid, TimeSpan bound)
    {
        var begin = Stopwatch.GetTimestamp();
        using var limit = new CancellationTokenSource(bound, TimeProvider.System);
        var pairs = ChaosGrid.Gateways.SelectMany(g => ChaosGrid.SweptSockets.Select(s => TryAsync(grid, g, s, begin, limit.Token)));
        var results = await Task.WhenAll(pairs);
        return (results.Max(r => r.Seconds), results.Select(r => r.Failure).FirstOrDefault(f => f is not null));
    }

    private static async Task<(double Seconds, string? Failure)> TryAsync(ChaosGrid grid, string gateway, string socket, long begin, CancellationToken limit)
    {
        string? last = null;
        while (!limit.IsCancellationRequested)
        {
            var session = new EchoSession(grid.Network, grid.History, grid.UserKey, gateway, socket);
            var failure = await session.OpenAsync(limit);
            if (failure is null)
            {
                var seconds = Stopwatch.GetElapsedTime(begin).TotalSeconds;
                await session.RunAsync(TimeSpan.Zero, TimeSpan.Zero, CancellationToken.None);
                return (seconds, null);
            }

            last = failure;
            try
            {
                await Task.Delay(Pause, TimeProvider.System, limit);
            }
            catch (OperationCanceledException)
            {
                break;
            }
        }

        return (Stopwatch.GetElapsedTime(begin).TotalSeconds, $"{socket} through {gateway}: {last ?? "nothing was tried"}");
    }
}
