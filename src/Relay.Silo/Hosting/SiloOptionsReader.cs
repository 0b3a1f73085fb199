using System.Globalization;
using System.Net;
using Relay.Protocol.Grid;
using Relay.Silo.GrainHosting;

namespace Relay.Silo.Hosting;

/// <summary>
/// Reads <see cref="SiloOptions"/> from RELAY_* variables and --options of the same meaning (an option wins) and lists every
/// failure, not the first. An option that is not known is a failure (L27: a setting that would silently not apply stops the start).
/// </summary>
internal sealed class SiloOptionsReader
{
    private static readonly (string Option, string Meaning)[] Known =
    [
        ("database", "PostgreSQL as an Npgsql connection string; default: a private one in the state folder"),
        ("state-dir", "folder for keys and the private database; default ./.relay"),
        ("master-key-file", "file of the master key; default STATE_DIR/master.key, made when absent"),
        ("name", "name of this silo, [a-z0-9.-]; default silo-1"),
        ("region", "where this silo is, for the record; default: none"),
        ("api-listen", "REST API; default 127.0.0.1:8080; other than loopback needs TLS"),
        ("api-tls-cert", "PEM certificate chain of the API; default: none, plain HTTP"),
        ("api-tls-key", "PEM private key of the API; goes with the certificate"),
        ("grid-listen", "gateways and silos; default 127.0.0.1:7443"),
        ("grid-advertise", "host:port under which they reach this silo; default: the listening address"),
        ("connector-listen", "connectors; default 127.0.0.1:7444"),
        ("connector-advertise", "host:port under which they reach this silo; default: the listening address"),
        ("bootstrap-file", "write the first administrator's password there (0600), not to standard output; default: none"),
        ("spool-limit-mib", "history that may wait in STATE_DIR/spool while the database is away, in MiB; default 1024"),
        ("snapshot-max-age-minutes", "how old the last snapshot in STATE_DIR/snapshot may be for a start without the database; default 60; 0 keeps none"),
        (DeviceNetworkReader.Devices, "addresses of WireGuard devices, alike on all silos; default 100.124.0.0/16,fd62:6f72:6465:7230::/64"),
        (DeviceNetworkReader.Resources, "addresses that devices reach sockets at; default 100.126.0.0/16,fd62:6f72:6465:7231::/64"),
        (DeviceNetworkReader.Suffix, "what the names of sockets end with for devices; default relay"),
        ("drain-seconds", "how long sessions may go on after SIGTERM; default 300; a second signal ends them at once"),
        ("log-level", "trace, debug, information (default), warning, error"),
        .. GrainHostSettings.Known,
    ];

    private readonly Dictionary<string, string> _values = new(StringComparer.Ordinal);
    private readonly List<string> _errors = [];

    private SiloOptionsReader()
    {
    }

    /// <summary>True when --help was asked for; nothing else was read then.</summary>
    public static bool IsHelp(IReadOnlyList<string> args) => args.Any(a => a is "--help" or "-h");

    /// <summary>What --help prints.</summary>
    public static string Help() =>
        "relay-silo: policy, sessions and the API of a Relay grid\n\nEvery option is also an environment variable; the option wins.\n\n"
        + string.Concat(Known.Select(k => $"  {(k.Option == "database" ? "" : "--" + k.Option),-22} {Variable(k.Option),-26} {k.Meaning}\n"));

    /// <summary>Reads and validates.</summary>
    /// <param name="args">--name value or --name=value.</param>
    /// <param name="environment">Returns a variable's value; null when it is not set.</param>
    /// <param name="errors">Every failure, with the setting's name and what would be right; empty when the result is usable.</param>
    public static SiloOptions? Read(IReadOnlyList<string> args, Func<string, string?> environment, out IReadOnlyList<string> errors)
    {
        var reader = new SiloOptionsReader();
        reader.Collect(args, environment);
        var options = reader.Build();
        errors = reader._errors;
        return reader._errors.Count == 0 ? options : null;
    }

    /// <summary>Every variable that is read.</summary>
    public static IEnumerable<string> Variables => Known.Select(k => Variable(k.Option));

    private static string Variable(string option) => "RELAY_" + option.Replace('-', '_').ToUpperInvariant();

    private void Collect(IReadOnlyList<string> args, Func<string, string?> environment)
    {
        foreach (var (option, _) in Known)
        {
            if (environment(Variable(option)) is { Length: > 0 } value)
                _values[option] = value;
        }

        for (var i = 0; i < args.Count; i++)
        {
            var arg = args[i];
            if (!arg.StartsWith("--", StringComparison.Ordinal))
            {
                // Not echoed: it may be a secret that lost its option.
                _errors.Add($"argument {i + 1} is not an option; see --help");
                continue;
            }

            var equals = arg.IndexOf('=', StringComparison.Ordinal);
            var option = equals < 0 ? arg[2..] : arg[2..equals];
            if (!Known.Any(k => k.Option == option))
            {
                _errors.Add($"--{option} is not an option of relay-silo; see --help");
                if (equals < 0 && i + 1 < args.Count && !args[i + 1].StartsWith("--", StringComparison.Ordinal))
                    i++;
                continue;
            }

            // SECURITY: every user of the machine can read argv (L35).
            if (option == "database")
                _errors.Add("--database would show the password in the process list: set RELAY_DATABASE instead");
            if (equals >= 0)
                _values[option] = arg[(equals + 1)..];
            else if (i + 1 < args.Count)
                _values[option] = args[++i];
            else
                _errors.Add($"--{option} needs a value");
        }
    }

    private SiloOptions Build()
    {
        var state = Path.GetFullPath(Value("state-dir") ?? ".relay");
        var name = Value("name") ?? "silo-1";
        if (!GridCertificates.IsName(name))
            Fail("name", "must be 1 to 63 characters of [a-z0-9.-]");

        var api = Listen("api-listen", 8080);
        var certificate = Value("api-tls-cert");
        var key = Value("api-tls-key");
        if (certificate is null != key is null)
            Fail(certificate is null ? "api-tls-cert" : "api-tls-key", "is missing: certificate and key go together");
        else if (certificate is null && !IPAddress.IsLoopback(api.Address))
            Fail("api-listen", $"is {api}, which is not loopback: passwords would travel in clear; give api-tls-cert and api-tls-key, or listen on 127.0.0.1 behind a TLS proxy");
        File("api-tls-cert", certificate);
        File("api-tls-key", key);

        var grainHost = _values.Where(v => GrainHostSettings.Known.Any(k => k.Option == v.Key)).ToDictionary();
        foreach (var (option, problem) in GrainHostSettings.Check(grainHost))
            Fail(option, problem);

        var grid = Listen("grid-listen", 7443);
        var connectors = Listen("connector-listen", 7444);
        return new SiloOptions
        {
            Database = Value("database"),
            StateDirectory = state,
            MasterKeyFile = Path.GetFullPath(Value("master-key-file") ?? Path.Combine(state, "master.key")),
            Name = name,
            Region = Value("region") ?? "",
            ApiListen = api,
            ApiTlsCertificateFile = certificate,
            ApiTlsKeyFile = key,
            GridListen = grid,
            GridAdvertise = Advertise("grid-advertise", "grid-listen", grid),
            ConnectorListen = connectors,
            ConnectorAdvertise = Advertise("connector-advertise", "connector-listen", connectors),
            BootstrapFile = Value("bootstrap-file") is { } file ? Path.GetFullPath(file) : null,
            GrainHost = grainHost,
            SpoolLimitBytes = SpoolLimit(),
            SnapshotMaxAge = SnapshotAge(),
            DrainTime = Drain(),
            Network = DeviceNetworkReader.Read(Value, Fail),
            LogLevel = Level(),
        };
    }

    private string? Value(string option) => _values.GetValueOrDefault(option);

    private void Fail(string option, string problem) => _errors.Add($"{Variable(option)} (--{option}) {problem}");

    private void File(string option, string? path)
    {
        if (path is not null && !System.IO.File.Exists(path))
            Fail(option, $"names a file that does not exist: {path}");
    }

    private IPEndPoint Listen(string option, int port)
    {
        var fallback = new IPEndPoint(IPAddress.Loopback, port);
        if (Value(option) is not { } text)
            return fallback;
        if (text.Contains(':', StringComparison.Ordinal) && IPEndPoint.TryParse(text, out var endpoint)
            && text.EndsWith(string.Create(CultureInfo.InvariantCulture, $":{endpoint.Port}"), StringComparison.Ordinal))
            return endpoint;
        Fail(option, "must be address:port, as 127.0.0.1:7443, 0.0.0.0:7443 or [::]:7443; port 0 takes a free one");
        return fallback;
    }

    private string? Advertise(string option, string listenOption, IPEndPoint listen)
    {
        var text = Value(option);
        if (text is null)
        {
            if (listen.Address.Equals(IPAddress.Any) || listen.Address.Equals(IPAddress.IPv6Any))
                Fail(option, $"is needed because {Variable(listenOption)} is every address: host:port under which others reach this silo");
            return null;
        }

        if (!GridAddress.TryParse(text, out _, out _))
            Fail(option, "must be host:port, port 1..65535");
        return text;
    }

    private long SpoolLimit()
    {
        const long Mebibyte = 1024 * 1024;
        if (Value("spool-limit-mib") is not { } text)
            return 1024 * Mebibyte;
        if (long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var limit) && limit is >= 16 and <= 1024 * 1024)
            return limit * Mebibyte;
        Fail("spool-limit-mib", "must be a number of MiB, 16 to 1048576");
        return 1024 * Mebibyte;
    }

    private TimeSpan SnapshotAge()
    {
        if (Value("snapshot-max-age-minutes") is not { } text)
            return TimeSpan.FromHours(1);
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var minutes) && minutes <= 10_080)
            return TimeSpan.FromMinutes(minutes);
        Fail("snapshot-max-age-minutes", "must be a whole number of minutes from 0 to 10080");
        return TimeSpan.Zero;
    }

    private TimeSpan Drain()
    {
        if (Value("drain-seconds") is not { } text)
            return TimeSpan.FromMinutes(5);
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds) && seconds <= 86_400)
            return TimeSpan.FromSeconds(seconds);
        Fail("drain-seconds", "must be a whole number of seconds from 0 to 86400");
        return TimeSpan.Zero;
    }

    private LogLevel Level()
    {
        if (Value("log-level") is not { } text)
            return LogLevel.Information;
        if (Enum.TryParse<LogLevel>(text, ignoreCase: true, out var level) && Enum.IsDefined(level) && !char.IsDigit(text[0]))
            return level;
        Fail("log-level", "must be trace, debug, information, warning or error");
        return LogLevel.Information;
    }
}
