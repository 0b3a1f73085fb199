using System.Globalization;
using System.Text;
using Relay.Silo.Hosting;

namespace Relay.Silo.Connectors;

/// <summary>How many connectors are attached here, and what keeping their leases costs. Safe for concurrent use.</summary>
internal sealed class LeaseMetrics(ConnectorTunnels tunnels)
{
    private readonly Histogram _turns = new("relay_lease_renewal_seconds", "One renewal of all leases of this silo.");
    private long _renewed;

    /// <summary>One renewal of many leases is done.</summary>
    public void Renewed(int leases, TimeSpan duration)
    {
        Interlocked.Add(ref _renewed, leases);
        _turns.Observe(duration);
    }

    public void Render(StringBuilder text)
    {
        text.Append(CultureInfo.InvariantCulture, $"""
            # HELP relay_connectors Connectors that are attached to this silo.
            # TYPE relay_connectors gauge
            relay_connectors {tunnels.Attached.Count}
            # HELP relay_lease_renewals_total Leases that were renewed.
            # TYPE relay_lease_renewals_total counter
            relay_lease_renewals_total {Interlocked.Read(ref _renewed)}

            """);
        _turns.Render(text);
    }
}
