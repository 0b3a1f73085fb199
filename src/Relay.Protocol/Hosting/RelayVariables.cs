namespace Relay.Protocol.Hosting;

/// <summary>
/// The environment variables of all of Relay's programs: one environment may serve several of them. A variable that none
/// reads is a setting that would silently not apply, and stops the start (L27).
/// </summary>
public static class RelayVariables
{
    private const string Prefix = "RELAY_";

    /// <summary>Every variable that some program reads or sets.</summary>
    public static IReadOnlyCollection<string> Known { get; } =
    [
        // silo
        "RELAY_DATABASE", "RELAY_STATE_DIR", "RELAY_MASTER_KEY_FILE", "RELAY_NAME", "RELAY_REGION", "RELAY_BOOTSTRAP_FILE", "RELAY_LOG_LEVEL",
        "RELAY_API_LISTEN", "RELAY_API_TLS_CERT", "RELAY_API_TLS_KEY", "RELAY_GRID_LISTEN", "RELAY_GRID_ADVERTISE", "RELAY_CONNECTOR_LISTEN", "RELAY_CONNECTOR_ADVERTISE",
        "RELAY_SPOOL_LIMIT_MIB", "RELAY_SNAPSHOT_MAX_AGE_MINUTES", "RELAY_DRAIN_SECONDS",
        "RELAY_WIREGUARD_DEVICES", "RELAY_WIREGUARD_RESOURCES", "RELAY_NETWORK_SUFFIX",
        // silo on Orleans
        "RELAY_ORLEANS_PORT",
        // gateway
        "RELAY_GATEWAY_TOKEN_FILE", "RELAY_GATEWAY_NAME", "RELAY_SSH_LISTEN", "RELAY_SSH_ADVERTISE", "RELAY_SILOS", "RELAY_GATEWAY_HTTP_LISTEN", "RELAY_GATEWAY_DRAIN_SECONDS",
        "RELAY_WIREGUARD_LISTEN", "RELAY_WIREGUARD_ADVERTISE", "RELAY_WIREGUARD_MTU", "RELAY_DNS_FORWARD",
        // connector
        "RELAY_TOKEN", "RELAY_TOKEN_FILE", "RELAY_CONFIG_FILE", "RELAY_CONNECTOR_ID", "RELAY_CONNECTOR_SERVER", "RELAY_CONNECTOR_MEASURE_SECONDS",
        // CLI
        "RELAY_API", "RELAY_HOME", "RELAY_ADMIN_TOKEN", "RELAY_CLIENT_TOKEN",
        // set by the built-in SSH service for the user's programs; read by the target's set-up script
        "RELAY_SESSION_ID", "RELAY_SSH_DIR",
    ];

    /// <summary>A sentence for each variable that begins with RELAY_ and is not known; none when all is well. Values are not looked at but for their form.</summary>
    /// <param name="environment">Names and values.</param>
    public static IReadOnlyList<string> Problems(IEnumerable<KeyValuePair<string, string>> environment)
    {
        ArgumentNullException.ThrowIfNull(environment);
        return [.. environment
            .Where(v => v.Key.StartsWith(Prefix, StringComparison.Ordinal) && !Known.Contains(v.Key) && !IsForeign(v.Key, v.Value))
            .Select(v => v.Key)
            .Order(StringComparer.Ordinal)
            .Select(name => $"{name} is not a setting of Relay{Nearest(name)}")];
    }

    /// <summary>As <see cref="Problems(IEnumerable{KeyValuePair{string, string}})"/>, of this process.</summary>
    public static IReadOnlyList<string> Problems() => Problems(
        Environment.GetEnvironmentVariables().Cast<System.Collections.DictionaryEntry>().Select(v => KeyValuePair.Create((string)v.Key, (string?)v.Value ?? "")));

    // Kubernetes describes every Service to every pod: RELAY_SILO_SERVICE_HOST, RELAY_SILO_PORT=tcp://10.0.0.1:443, RELAY_SILO_PORT_443_TCP_ADDR.
    // Test programs have settings of their own.
    private static bool IsForeign(string name, string value) =>
        name.StartsWith("RELAY_TEST_", StringComparison.Ordinal)
        || name.Contains("_SERVICE_HOST", StringComparison.Ordinal) || name.Contains("_SERVICE_PORT", StringComparison.Ordinal) || name.Contains("_PORT_", StringComparison.Ordinal)
        || (name.EndsWith("_PORT", StringComparison.Ordinal) && value.Contains("://", StringComparison.Ordinal));

    private static string Nearest(string name)
    {
        var (known, distance) = Known.Select(k => (Known: k, Distance: Distance(name[Prefix.Length..], k[Prefix.Length..]))).MinBy(c => c.Distance);
        return distance <= Math.Max(1, (known.Length - Prefix.Length) / 3) ? $": did you mean {known}?" : " and would not be applied: unset it.";
    }

    // Levenshtein with one row.
    private static int Distance(string a, string b)
    {
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (var i = 1; i <= a.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
                (diagonal, row[j]) = (row[j], Math.Min(diagonal + (a[i - 1] == b[j - 1] ? 0 : 1), Math.Min(row[j], row[j - 1]) + 1));
        }

        return row[^1];
    }
}
