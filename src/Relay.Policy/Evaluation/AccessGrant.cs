namespace Relay.Policy;

/// <summary>
/// Proof that a decision allowed one action on one socket. Whatever dials or opens a channel requires one.
/// SECURITY: only <see cref="CompiledPolicies.Evaluate"/> makes one; it is a class, not a record, so that no copy with other values can be made.
/// Immutable.
/// </summary>
public sealed class AccessGrant
{
    internal AccessGrant(Guid organizationId, AccessRequest request, long policyVersion, DateTimeOffset? endsAt)
    {
        OrganizationId = organizationId;
        SubjectId = request.Subject.Id;
        SocketId = request.Socket.Id;
        Action = request.Action;
        DecisionId = request.DecisionId;
        PolicyVersion = policyVersion;
        EndsAt = endsAt;
    }

    /// <summary>The organization whose policies allowed it.</summary>
    public Guid OrganizationId { get; }

    /// <summary>To whom it was granted.</summary>
    public Guid SubjectId { get; }

    /// <summary>The only socket it is good for.</summary>
    public Guid SocketId { get; }

    /// <summary>The only action it is good for.</summary>
    public AccessAction Action { get; }

    /// <summary>The decision behind it.</summary>
    public Guid DecisionId { get; }

    /// <summary>Version of the organization's policies it was decided under.</summary>
    public long PolicyVersion { get; }

    /// <summary>
    /// Until when the policies that allow it now do so without a break (end of a time window, <c>when.before</c>, longest duration).
    /// Ask again then: another window may have opened. Null: no clause ends it.
    /// </summary>
    public DateTimeOffset? EndsAt { get; }
}
