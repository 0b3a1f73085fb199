using System.Globalization;

namespace Orleans
{
    /// <summary>How long a caller waits for this interface method instead of the host's default.</summary>
    /// <param name="timeout">As <see cref="TimeSpan"/> is written: "00:00:03" is three seconds. Must be positive.</param>
    [AttributeUsage(AttributeTargets.Method)]
    public sealed class ResponseTimeoutAttribute(string timeout) : Attribute
    {
        /// <summary>The time; null keeps the host's default.</summary>
        public TimeSpan? Timeout { get; init; } = TimeSpan.Parse(timeout, CultureInfo.InvariantCulture);
    }
}

namespace Orleans.Concurrency
{
    /// <summary>Calls to this grain class may interleave at every await.</summary>
    [AttributeUsage(AttributeTargets.Class)]
    public sealed class ReentrantAttribute : Attribute;

    /// <summary>This interface method may run between the turns of any other call, and delays none. Overtakes waiting calls.</summary>
    [AttributeUsage(AttributeTargets.Method)]
    public sealed class AlwaysInterleaveAttribute : Attribute;

    /// <summary>This interface method changes nothing: several may interleave with each other, but with no other call.</summary>
    [AttributeUsage(AttributeTargets.Method)]
    public sealed class ReadOnlyAttribute : Attribute;

    /// <summary>The caller of this interface method learns neither result nor failure: the returned task completes once the call is queued.</summary>
    [AttributeUsage(AttributeTargets.Method)]
    public sealed class OneWayAttribute : Attribute;
}
