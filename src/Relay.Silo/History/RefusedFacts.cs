using Relay.Silo.Spool;

namespace Relay.Silo.History;

/// <summary>Facts that were acknowledged while the store was away and that it then would not have: kept in a spool of their own. Safe for concurrent use.</summary>
internal sealed class RefusedFacts(Spool.Spool kept) : IDisposable
{
    private long _count;

    /// <summary>How many there were since the start.</summary>
    public long Total => Interlocked.Read(ref _count);

    /// <summary>One that need not be kept: it told of a session that is not its gateway's.</summary>
    public void Count() => Interlocked.Increment(ref _count);

    /// <exception cref="SpoolFullException">There is no place, and the fact stays where it is.</exception>
    public Task KeepAsync(ReadOnlyMemory<byte> payload)
    {
        Count();
        return kept.AppendAsync(payload, bulk: false);
    }

    public void Dispose() => kept.Dispose();
}
