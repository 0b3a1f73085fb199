using System.Collections.Immutable;
using Relay.GrainHost.Types;

namespace Relay.GrainHost.Membership;

/// <summary>The silos that host grains, at one version, and who of them has which grain. Immutable.</summary>
internal sealed class MembershipView
{
    private readonly ulong[] _hashes;

    /// <param name="version">Of the table.</param>
    /// <param name="active">In any order.</param>
    /// <param name="local">This silo.</param>
    public MembershipView(long version, IEnumerable<SiloMember> active, ILocalSilo local)
    {
        Version = version;
        Active = [.. active.OrderBy(m => m.Address, StringComparer.Ordinal)];
        // By address alone: a silo that restarts gets its grains back.
        _hashes = [.. Active.Select(m => StableHash.Of(m.Address))];
        Local = Active.FirstOrDefault(m => m.Incarnation == local.Incarnation && m.Address == local.Address);
    }

    public long Version { get; }

    public ImmutableArray<SiloMember> Active { get; }

    /// <summary>Null when this silo hosts nothing: it shuts down or was declared dead.</summary>
    public SiloMember? Local { get; }

    /// <summary>
    /// The silo with the highest mix of its hash and the grain's (rendezvous hashing): when a silo comes or goes, only the
    /// grains it gets or had move. Null when there is no silo.
    /// </summary>
    public SiloMember? OwnerOf(ulong grainHash)
    {
        if (_hashes.Length == 1) return Active[0];
        SiloMember? best = null;
        ulong highest = 0;
        for (var i = 0; i < _hashes.Length; i++)
        {
            var weight = StableHash.Combine(grainHash, _hashes[i]);
            if (best is not null && weight <= highest) continue;
            best = Active[i];
            highest = weight;
        }

        return best;
    }

    public SiloMember? Find(string address, Guid incarnation) => Active.FirstOrDefault(m => m.Incarnation == incarnation && m.Address == address);
}
