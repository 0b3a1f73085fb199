using System.Net;
using System.Text.RegularExpressions;
using Relay.Api;
using Relay.Silo.Api.Http;

namespace Relay.Silo.Api.Resources;

/// <summary>The host behind a socket, or the members of its pool.</summary>
internal static partial class UpstreamHosts
{
    private const int MaxHosts = 32;

    /// <summary>At least one entry, whatever is wrong.</summary>
    /// <param name="field">Path of the object that has hostname, port and hosts.</param>
    /// <param name="defaultPort">Null: a port is required.</param>
    public static List<PoolHost> Read(string field, string? hostname, int? port, IReadOnlyList<PoolHostWrite>? pool, int? defaultPort, FieldErrors errors)
    {
        if (pool is null)
            return [Host(field, hostname, port, defaultPort, errors)];
        if (hostname is not null)
            errors.Add(field + ".hostname", "is given together with hosts");
        if (port is not null)
            errors.Add(field + ".port", "is given together with hosts");
        if (pool.Count is 0 or > MaxHosts)
            errors.Add(field + ".hosts", $"must be 1 to {MaxHosts} of {{\"hostname\":…,\"port\":…}}");
        var hosts = new List<PoolHost>();
        for (var i = 0; i < Math.Min(pool.Count, MaxHosts); i++)
        {
            var host = Host($"{field}.hosts[{i}]", pool[i].Hostname, pool[i].Port, defaultPort, errors);
            if (hosts.Contains(host, SameHost.Instance))
                errors.Add($"{field}.hosts[{i}]", "is in the pool already");
            hosts.Add(host);
        }
        return hosts.Count > 0 ? hosts : [new PoolHost("", 0)];
    }

    private static PoolHost Host(string field, string? hostname, int? port, int? defaultPort, FieldErrors errors)
    {
        if (port is < 1 or > 65535)
            errors.Add(field + ".port", "must be 1 to 65535");
        else if (port is null && defaultPort is null)
            errors.Add(field + ".port", "is required");
        return new PoolHost(Hostname(field, hostname, errors), port ?? defaultPort ?? 0);
    }

    private static string Hostname(string field, string? value, FieldErrors errors)
    {
        if (string.IsNullOrEmpty(value))
            errors.Add(field + ".hostname", "is required");
        else if (!HostPattern().IsMatch(value) && !(value.Contains(':', StringComparison.Ordinal) && !value.Contains('%', StringComparison.Ordinal) && IPAddress.TryParse(value, out _)))
            errors.Add(field + ".hostname", "must be a host name or an IP address");
        return value ?? "";
    }

    /// <summary>Names of hosts have no case.</summary>
    public sealed class SameHost : IEqualityComparer<PoolHost>
    {
        public static readonly SameHost Instance = new();

        public bool Equals(PoolHost? x, PoolHost? y) => x?.Port == y?.Port && string.Equals(x?.Hostname, y?.Hostname, StringComparison.OrdinalIgnoreCase);

        public int GetHashCode(PoolHost obj) => HashCode.Combine(obj.Port, StringComparer.OrdinalIgnoreCase.GetHashCode(obj.Hostname));
    }

    [GeneratedRegex(@"^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\z", RegexOptions.CultureInvariant)]
    private static partial Regex HostPattern();
}
