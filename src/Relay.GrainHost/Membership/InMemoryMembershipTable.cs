using System.Collections.Immutable;

namespace Relay.GrainHost.Membership;

/// <summary>A table in this process, for a single silo without a store and for tests. Safe for concurrent use.</summary>
public sealed class InMemoryMembershipTable(TimeProvider time) : IMembershipTable
{
    private static readonly TimeSpan ForgetDeadAfter = TimeSpan.FromDays(1);

    private readonly Lock _lock = new();
    private ImmutableArray<SiloMember> _members = [];
    private long _version;

    /// <inheritdoc/>
    public Task<MembershipSnapshot> ReadAsync(CancellationToken cancellationToken)
    {
        lock (_lock) return Task.FromResult(new MembershipSnapshot(_version, time.GetUtcNow(), _members));
    }

    /// <inheritdoc/>
    public Task<bool> TryInsertAsync(SiloMember member, long expectedVersion, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(member);
        lock (_lock)
        {
            if (_version != expectedVersion || _members.Any(member.IsSame)) return Task.FromResult(false);
            var now = time.GetUtcNow();
            _members =
            [
                .. _members
                    .Where(m => m.Status != MemberStatus.Dead || now - m.AliveAt < ForgetDeadAfter)
                    .Select(m => m.Address == member.Address ? m with { Status = MemberStatus.Dead } : m),
                member with { StartedAt = now, AliveAt = now },
            ];
            _version++;
            return Task.FromResult(true);
        }
    }

    /// <inheritdoc/>
    public Task<bool> TrySetStatusAsync(string address, Guid incarnation, MemberStatus status, long expectedVersion, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            if (_version != expectedVersion || !_members.Any(m => m.Address == address && m.Incarnation == incarnation)) return Task.FromResult(false);
            _members = [.. _members.Select(m => m.Address == address && m.Incarnation == incarnation ? m with { Status = status } : m)];
            _version++;
            return Task.FromResult(true);
        }
    }

    /// <inheritdoc/>
    public Task HeartbeatAsync(string address, Guid incarnation, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            var now = time.GetUtcNow();
            _members = [.. _members.Select(m => m.Address == address && m.Incarnation == incarnation ? m with { AliveAt = now } : m)];
        }

        return Task.CompletedTask;
    }
}
