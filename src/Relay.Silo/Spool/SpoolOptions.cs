namespace Relay.Silo.Spool;

/// <summary>Where a spool is and how much it may hold. Immutable.</summary>
internal sealed record SpoolOptions
{
    /// <summary>Of this silo alone; made (0700) when absent.</summary>
    public required string Directory { get; init; }

    /// <summary>Bytes on disk beyond which nothing is taken. Default: 1 GiB, some hours of a busy silo's recordings.</summary>
    public long LimitBytes { get; init; } = 1024L * 1024 * 1024;

    /// <summary>A segment this big is followed by the next one: what one delivered file gives back, and what a restart delivers again.</summary>
    public int SegmentBytes { get; init; } = 8 * 1024 * 1024;

    /// <summary>Kept for facts when recordings have filled the rest: how sessions end is known even then. An eighth, at most 64 MiB.</summary>
    public long ReserveBytes => Math.Min(LimitBytes / 8, 64L * 1024 * 1024);
}
