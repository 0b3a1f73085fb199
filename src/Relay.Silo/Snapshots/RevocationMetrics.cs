using System.Text;
using Relay.Silo.Hosting;

namespace Relay.Silo.Snapshots;

/// <summary>How long it takes until what was decided is so. Times are the database's; see <see cref="SnapshotAcks"/>. Safe for concurrent use.</summary>
internal sealed class RevocationMetrics
{
    /// <summary>One observation for each session or tunnel that was closed because its right is gone.</summary>
    public Histogram Revocation { get; } = new("relay_revocation_seconds", "From the commit that took a right away to the end of the session or tunnel that lived by it.");

    /// <summary>One observation for each version.</summary>
    public Histogram InForce { get; } = new("relay_policy_in_force_seconds", "From the commit of a change to this silo deciding by it, with everything closed that lost its right.");

    public void Render(StringBuilder text)
    {
        Revocation.Render(text);
        InForce.Render(text);
    }
}
