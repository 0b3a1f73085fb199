namespace Relay.Tests.Silo.Connectors;

/// <summary>Waits for a condition, not for a time; the deadline only turns a hang into a failure that says what was awaited.</summary>
internal static class Until
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(40);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(10);

    public static Task TrueAsync(Func<bool> condition, string what) => NotNullAsync(() => condition() ? new object() : null, what);

    public static async Task<T> NotNullAsync<T>(Func<T?> value, string what)
        where T : class
    {
        var start = TimeProvider.System.GetTimestamp();
        while (TimeProvider.System.GetElapsedTime(start) < Deadline)
        {
            if (value() is { } found)
                return found;
            await Task.Delay(Pause, TimeProvider.System, TestContext.Current.CancellationToken);
        }

        throw new TimeoutException($"Not within {Deadline}: {what}");
    }
}
