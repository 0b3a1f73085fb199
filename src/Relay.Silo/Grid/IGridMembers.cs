using Relay.GrainHost.Membership;

namespace Relay.Silo.Grid;

/// <summary>
/// The silos of the grid as the grain host's membership last had them. The one thing that fences and <see cref="GridHealth"/> take from
/// it. Safe for concurrent use.
/// </summary>
internal interface IGridMembers
{
    /// <summary>Silos that serve, this one among them once it does; one per address.</summary>
    IReadOnlyList<GridMember> Serving { get; }

    /// <summary>Starts of silos that have been declared dead or have left.</summary>
    IReadOnlyList<GridMember> Dead { get; }
}

/// <summary>One start of one silo.</summary>
/// <param name="Address">Advertised grid address "host:port".</param>
/// <param name="Incarnation">Which start.</param>
/// <param name="Name">The name in its certificate.</param>
internal sealed record GridMember(string Address, Guid Incarnation, string Name);

/// <summary>The grain host's membership.</summary>
internal sealed class HostMembers(IMembership membership) : IGridMembers
{
    public IReadOnlyList<GridMember> Serving => With(MemberStatus.Active);

    public IReadOnlyList<GridMember> Dead => With(MemberStatus.Dead);

    private GridMember[] With(MemberStatus status) =>
        [.. membership.Members.Where(m => m.Status == status).DistinctBy(m => status == MemberStatus.Dead ? m.Incarnation.ToString() : m.Address).Select(m => new GridMember(m.Address, m.Incarnation, m.Name))];
}
