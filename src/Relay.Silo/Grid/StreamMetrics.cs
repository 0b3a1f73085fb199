using System.Globalization;
using System.Text;

namespace Relay.Silo.Grid;

/// <summary>How many streams of sessions were opened here, and over how many silos. Safe for concurrent use.</summary>
internal sealed class StreamMetrics
{
    private long _direct;
    private long _further;

    /// <param name="hops">1: the connector is attached here; more: to another silo.</param>
    public void OnOpened(int hops) => Interlocked.Increment(ref hops <= 1 ? ref _direct : ref _further);

    public void Render(StringBuilder text) => text.Append(CultureInfo.InvariantCulture, $$"""
        # HELP relay_streams_opened_total Streams of sessions opened here; two hops: the connector is attached to another silo.
        # TYPE relay_streams_opened_total counter
        relay_streams_opened_total{hops="1"} {{Interlocked.Read(ref _direct)}}
        relay_streams_opened_total{hops="2"} {{Interlocked.Read(ref _further)}}

        """);
}
