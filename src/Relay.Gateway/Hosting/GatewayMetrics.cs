using System.Collections.Concurrent;
using System.Globalization;
using System.Text;

namespace Relay.Gateway.Hosting;

/// <summary>What the gateway counts, in Prometheus' text format. Labels are from closed sets; never a user, an address or a name. Safe for concurrent use.</summary>
internal sealed class GatewayMetrics
{
    private readonly ConcurrentDictionary<(string Name, string Labels), long> _counters = new();
    private readonly ConcurrentDictionary<string, Func<long>> _gauges = new();
    private readonly ConcurrentDictionary<(string Name, string Labels), Func<long>> _readCounters = new();
    private long _bytesUp;
    private long _bytesDown;

    public void OnConnection() => Add("relay_gateway_connections_total", "");

    /// <param name="reason">"ended", "timeout", "evicted", "protocol", "authentication", "preface".</param>
    public void OnLoginFailed(string reason) => Add("relay_gateway_logins_failed_total", $"reason=\"{reason}\"");

    public void OnSessionDenied() => Add("relay_gateway_sessions_total", "authorization=\"denied\"");

    public void OnSessionOpened() => Add("relay_gateway_sessions_total", "authorization=\"allowed\"");

    public void OnSessionEnded(long bytesUp, long bytesDown)
    {
        Interlocked.Add(ref _bytesUp, bytesUp);
        Interlocked.Add(ref _bytesDown, bytesDown);
        Add("relay_gateway_sessions_ended_total", "");
    }

    /// <param name="protocol">"tcp", "udp", or "ssh" for one that goes through the SSH server.</param>
    /// <param name="verdict">"allowed", "denied" or "undecided".</param>
    public void OnFlow(string protocol, string verdict) => Add("relay_gateway_flows_total", $"protocol=\"{protocol}\",verdict=\"{verdict}\"");

    /// <param name="demand">A <see cref="Access.ChannelDemand"/>'s name.</param>
    public void OnDecision(string demand, bool allowed) =>
        Add("relay_gateway_channel_decisions_total", $"demand=\"{demand}\",verdict=\"{(allowed ? "allowed" : "denied")}\"");

    /// <param name="reason">An upstream failure's kind.</param>
    public void OnUpstreamFailed(string reason) => Add("relay_gateway_upstream_failures_total", $"reason=\"{reason}\"");

    public void OnRecordingFailed() => Add("relay_gateway_recording_failures_total", "");

    /// <summary>Adds a value that is read when asked for.</summary>
    public void Gauge(string name, Func<long> read) => _gauges[name] = read;

    /// <summary>Adds a counter that something else keeps: it is read when asked for, and never goes back.</summary>
    /// <param name="labels">As in the text format, without braces; empty: none.</param>
    public void Counter(string name, string labels, Func<long> read) => _readCounters[(name, labels)] = read;

    /// <summary>A counter's value so far; zero when nothing was counted.</summary>
    public long Count(string name, string labels = "") => _counters.GetValueOrDefault((name, labels));

    public string Render()
    {
        var text = new StringBuilder();
        string? former = null;
        foreach (var ((name, labels), value) in _counters.OrderBy(c => c.Key.Name, StringComparer.Ordinal).ThenBy(c => c.Key.Labels, StringComparer.Ordinal))
        {
            Line(text, ref former, name, "counter", labels, value);
        }

        Line(text, ref former, "relay_gateway_payload_bytes_total", "counter", "direction=\"up\"", Interlocked.Read(ref _bytesUp));
        Line(text, ref former, "relay_gateway_payload_bytes_total", "counter", "direction=\"down\"", Interlocked.Read(ref _bytesDown));
        foreach (var ((name, labels), read) in _readCounters.OrderBy(c => c.Key.Name, StringComparer.Ordinal).ThenBy(c => c.Key.Labels, StringComparer.Ordinal))
        {
            Line(text, ref former, name, "counter", labels, read());
        }

        foreach (var (name, read) in _gauges.OrderBy(g => g.Key, StringComparer.Ordinal))
        {
            Line(text, ref former, name, "gauge", "", read());
        }

        return text.ToString();
    }

    private static void Line(StringBuilder text, ref string? former, string name, string kind, string labels, long value)
    {
        if (former != name)
        {
            text.Append(CultureInfo.InvariantCulture, $"# TYPE {name} {kind}\n");
            former = name;
        }

        text.Append(name);
        if (labels.Length > 0)
        {
            text.Append('{').Append(labels).Append('}');
        }

        text.Append(CultureInfo.InvariantCulture, $" {value}\n");
    }

    private void Add(string name, string labels) => _counters.AddOrUpdate((name, labels), 1, static (_, value) => value + 1);
}
