using Relay.GrainHost.Membership;

namespace Relay.Tests.GrainHost.Cluster;

/// <summary>The system's time, which can lose some: as if the process had stood still.</summary>
internal sealed class JumpingTime : TimeProvider
{
    private long _lost;

    public override long TimestampFrequency => System.TimestampFrequency;

    public override long GetTimestamp() => System.GetTimestamp() + Volatile.Read(ref _lost);

    public void Jump(TimeSpan by) => Interlocked.Add(ref _lost, (long)(by.TotalSeconds * TimestampFrequency));
}

/// <summary>A table whose readers can be made to wait.</summary>
internal sealed class SlowTable(IMembershipTable table) : IMembershipTable
{
    private volatile TaskCompletionSource? _held;

    /// <summary>Readers wait until the result is set.</summary>
    public TaskCompletionSource Hold() => _held = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

    public async Task<MembershipSnapshot> ReadAsync(CancellationToken cancellationToken)
    {
        if (_held is { } held) await held.Task.WaitAsync(cancellationToken);
        return await table.ReadAsync(cancellationToken);
    }

    public Task<bool> TryInsertAsync(SiloMember member, long expectedVersion, CancellationToken cancellationToken) => table.TryInsertAsync(member, expectedVersion, cancellationToken);

    public Task<bool> TrySetStatusAsync(string address, Guid incarnation, MemberStatus status, long expectedVersion, CancellationToken cancellationToken) =>
        table.TrySetStatusAsync(address, incarnation, status, expectedVersion, cancellationToken);

    public Task HeartbeatAsync(string address, Guid incarnation, CancellationToken cancellationToken) => table.HeartbeatAsync(address, incarnation, cancellationToken);
}
