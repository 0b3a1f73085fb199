using Relay.Gateway.Hosting;

namespace Relay.Tests.Gateway.Hosting;

public sealed class GatewayMetricsTests
{
    [Fact]
    public void What_others_count_is_read_when_it_is_asked_for_and_each_name_has_one_type()
    {
        var metrics = new GatewayMetrics();
        long up = 1;
        metrics.Counter("relay_x_bytes_total", "direction=\"up\"", () => up);
        metrics.Counter("relay_x_bytes_total", "direction=\"down\"", () => 7);
        metrics.Counter("relay_x_handshakes_total", "", () => 3);
        up = 5;
        Assert.Contains(
            "# TYPE relay_x_bytes_total counter\nrelay_x_bytes_total{direction=\"down\"} 7\nrelay_x_bytes_total{direction=\"up\"} 5\n# TYPE relay_x_handshakes_total counter\nrelay_x_handshakes_total 3\n",
            metrics.Render(), StringComparison.Ordinal);
    }
}
