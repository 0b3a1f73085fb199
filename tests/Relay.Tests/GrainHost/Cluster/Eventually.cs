namespace Relay.Tests.GrainHost.Cluster;

/// <summary>Waits for what happens on other threads, without sleeping: looks again after yielding, until a deadline.</summary>
internal static class Eventually
{
    public static async Task TrueAsync(Func<bool> condition, string what, int seconds = 10)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(seconds), TimeProvider.System);
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(2), TimeProvider.System);
        while (!condition())
        {
            try
            {
                await timer.WaitForNextTickAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                Xunit.Assert.Fail($"Not within {seconds} s: {what}");
            }
        }
    }

    /// <summary>Moves manual time on in small steps until the condition holds.</summary>
    public static Task TrueAsync(Func<bool> condition, Relay.TestKit.ManualTimeProvider time, TimeSpan step, string what) => TrueAsync(
        () =>
        {
            if (condition()) return true;
            time.Advance(step);
            return condition();
        },
        what);
}
