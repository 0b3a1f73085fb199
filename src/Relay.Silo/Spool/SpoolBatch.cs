namespace Relay.Silo.Spool;

/// <summary>The oldest records that were not delivered yet, in order. Given back by <see cref="Spool.Delivered"/>.</summary>
internal sealed record SpoolBatch(IReadOnlyList<SpoolRecord> Records)
{
    internal SpoolSegment Segment { get; init; } = null!;

    internal long NextOffset { get; init; }
}

/// <summary>One record as it was appended.</summary>
internal readonly record struct SpoolRecord(DateTimeOffset At, ReadOnlyMemory<byte> Payload);
