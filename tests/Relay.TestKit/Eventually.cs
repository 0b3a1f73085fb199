namespace Relay.TestKit;

/// <summary>Waits for what another task or process is about to do; the deadline only turns a hang into a failure that says what was awaited.</summary>
public static class Eventually
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(40);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(5);

    /// <exception cref="TimeoutException">Not within 40 s.</exception>
    public static Task TrueAsync(Func<bool> condition, string what) => TrueAsync(() => Task.FromResult(condition()), what);

    /// <exception cref="TimeoutException">Not within 40 s.</exception>
    public static Task TrueAsync(Func<Task<bool>> condition, string what) => LookAsync(async () => await condition() ? condition : null, () => what);

    /// <param name="state">Read when it has failed: how far things came.</param>
    /// <exception cref="TimeoutException">Not within 40 s.</exception>
    public static Task TrueAsync(Func<bool> condition, Func<string> state) => LookAsync(() => Task.FromResult(condition() ? condition : null), state);

    /// <summary>The first value that is not null.</summary>
    /// <exception cref="TimeoutException">Not within 40 s.</exception>
    public static Task<T> NotNullAsync<T>(Func<T?> value, string what)
        where T : class => LookAsync(() => Task.FromResult(value()), () => what);

    /// <summary>Moves manual time on in small steps until the condition holds.</summary>
    /// <exception cref="TimeoutException">Not within 40 s of real time.</exception>
    public static Task TrueAsync(Func<bool> condition, ManualTimeProvider time, TimeSpan step, string what) => TrueAsync(
        () =>
        {
            if (condition())
                return true;
            time.Advance(step);
            return condition();
        },
        what);

    private static async Task<T> LookAsync<T>(Func<Task<T?>> look, Func<string> what)
        where T : class
    {
        using var limit = new CancellationTokenSource(Deadline, TimeProvider.System);
        using var timer = new PeriodicTimer(Pause, TimeProvider.System);
        while (true)
        {
            if (await look() is { } found)
                return found;
            try
            {
                await timer.WaitForNextTickAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                throw new TimeoutException($"Not within {Deadline.TotalSeconds:0} s: {what()}");
            }
        }
    }
}
