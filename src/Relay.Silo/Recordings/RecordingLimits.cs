namespace Relay.Silo.Recordings;

/// <summary>Bounds of recordings; a gateway that exceeds them is refused, and then ends the session.</summary>
internal static class RecordingLimits
{
    /// <summary>One chunk as it arrives (gzip).</summary>
    public const int MaxChunkBytes = 256 * 1024;

    /// <summary>One chunk inflated: what a reader has to hold.</summary>
    public const int MaxInflatedBytes = 4 * 1024 * 1024;

    /// <summary>Recorded channels of one session.</summary>
    public const int MaxRecordings = 100_000;

    /// <summary>Characters of a title.</summary>
    public const int MaxTitleLength = 200;

    /// <summary>How long after a session's end its gateway may still deliver what it holds.</summary>
    public static readonly TimeSpan LateDelivery = TimeSpan.FromMinutes(2);

    /// <summary>An ended session whose recording is still open after this has lost its tail.</summary>
    public static readonly TimeSpan TailGrace = TimeSpan.FromSeconds(30);
}
