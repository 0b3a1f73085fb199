using Microsoft.Extensions.Logging;
using Relay.Protocol.Tokens;

namespace Relay.Connector.Configuration;

/// <summary>Puts the options together: flag over environment over file.</summary>
public static class ConnectorOptionsReader
{
    /// <summary>Reads flags, environment and the first configuration file there is.</summary>
    /// <param name="flags">The command line.</param>
    /// <param name="environment">Reads one variable; null when unset.</param>
    /// <exception cref="ConnectorConfigurationException">The connector cannot start with this.</exception>
    public static ConnectorOptions Read(ConnectorFlags flags, Func<string, string?> environment)
    {
        ArgumentNullException.ThrowIfNull(flags);
        ArgumentNullException.ThrowIfNull(environment);
        string? Variable(string name) => environment(name) is { Length: > 0 } value ? value : null;

        var places = new List<string>();
        var file = FindFile(flags, Variable, places);
        var token = FindToken(flags, Variable, file, places);
        _ = ReadLogLevel(flags, environment);
        var options = new ConnectorOptions
        {
            Token = token.Value,
            TokenSource = token.Source,
            Servers = ReadServers(flags.Server ?? Variable("RELAY_CONNECTOR_SERVER") ?? file?.ConnectorServer),
            Region = Variable("RELAY_REGION") ?? file?.Region ?? "",
            MeasureInterval = ReadMeasureInterval(Variable("RELAY_CONNECTOR_MEASURE_SECONDS")),
        };

        // A configured connector id is a safety catch: the wrong token must not connect the wrong machine.
        var wanted = flags.ConnectorId ?? Variable("RELAY_CONNECTOR_ID") ?? file?.ConnectorId;
        if (wanted is not null)
        {
            if (!Guid.TryParse(wanted, out var id))
                throw Usage($"'{wanted}' is not a connector id");
            if (ConnectorToken.Read(options).ConnectorId != id)
                throw Usage($"the token from {options.TokenSource} is not for connector {id}");
        }

        return options;
    }

    /// <summary>Least severe level to log: RELAY_LOG_LEVEL over the file's log_level over information. For whoever makes the loggers.</summary>
    /// <param name="flags">The command line.</param>
    /// <param name="environment">Reads one variable; null when unset.</param>
    /// <exception cref="ConnectorConfigurationException">Not a level, or a file that cannot be used.</exception>
    public static LogLevel ReadLogLevel(ConnectorFlags flags, Func<string, string?> environment)
    {
        ArgumentNullException.ThrowIfNull(flags);
        ArgumentNullException.ThrowIfNull(environment);
        string? Variable(string name) => environment(name) is { Length: > 0 } value ? value : null;
        var text = Variable("RELAY_LOG_LEVEL") ?? FindFile(flags, Variable, [])?.LogLevel;
        return text switch
        {
            null or "info" or "information" => LogLevel.Information,
            "trace" => LogLevel.Trace,
            "debug" => LogLevel.Debug,
            "warn" or "warning" => LogLevel.Warning,
            "error" => LogLevel.Error,
            _ => throw Usage($"'{text}' is not a log level; known are trace, debug, info, warn, error"),
        };
    }

    internal static ConnectorConfigurationException Usage(string message) => new(ConnectorExitCode.Usage, message);

    private static ConnectorFile? FindFile(ConnectorFlags flags, Func<string, string?> variable, List<string> places)
    {
        if ((flags.ConfigFile ?? variable("RELAY_CONFIG_FILE")) is { } named)
        {
            places.Add($"token in {named}");
            return File.Exists(named) ? ConnectorFile.Read(named) : throw Usage($"there is no configuration file {named}");
        }

        var home = variable("HOME");
        string[] usual = ["./relay.yaml", "/etc/relay/relay.yaml", .. home is null ? Array.Empty<string>() : [Path.Combine(home, ".relay/config.yaml")]];
        foreach (var path in usual)
        {
            places.Add($"token in {path}");
            if (File.Exists(path))
                return ConnectorFile.Read(path);
        }

        return null;
    }

    private static (string Value, string Source) FindToken(ConnectorFlags flags, Func<string, string?> variable, ConnectorFile? file, List<string> places)
    {
        places.InsertRange(0, ["--token-file", "RELAY_TOKEN", "RELAY_TOKEN_FILE"]);
        if (flags.TokenFile is { } flagged)
            return (ReadTokenFile(flagged), flagged);
        if (variable("RELAY_TOKEN") is { } inline)
            return (Resolve(inline, variable), "RELAY_TOKEN");
        if (variable("RELAY_TOKEN_FILE") is { } path)
            return (ReadTokenFile(path), path);
        if (file?.Token is { Length: > 0 } configured)
            return (Resolve(configured, variable), file.Path);
        throw new ConnectorConfigurationException(ConnectorExitCode.NoToken, "no Relay token in credentials chain") { PlacesTried = places };
    }

    private static string ReadTokenFile(string path)
    {
        var token = ProtectedFile.ReadText(path, 4 * JsonWebToken.MaximumLength).Trim();
        return token.Length > 0 ? token : throw new ConnectorConfigurationException(ConnectorExitCode.NoToken, $"the token file {path} is empty") { PlacesTried = [path] };
    }

    // Secret references: resolved here, never sent up.
    private static string Resolve(string value, Func<string, string?> variable)
    {
        value = value.Trim();
        if (value.StartsWith("${from:", StringComparison.Ordinal) && value.EndsWith('}'))
            value = value[2..^1];
        if (!value.StartsWith("from:", StringComparison.Ordinal))
            return value;
        if (value.StartsWith("from:env:", StringComparison.Ordinal))
            return variable(value["from:env:".Length..]) ?? throw new ConnectorConfigurationException(ConnectorExitCode.NoToken, $"the token is said to be in the environment variable {value["from:env:".Length..]}, which is not set");
        if (value.StartsWith("from:file:", StringComparison.Ordinal))
            return ReadTokenFile(value["from:file:".Length..]);
        throw Usage($"the token is a reference of a kind that is not known here: {value.Split(':')[1]}; known are from:env and from:file");
    }

    private static TimeSpan ReadMeasureInterval(string? text)
    {
        if (text is null)
            return TimeSpan.FromSeconds(30);
        return int.TryParse(text, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out var seconds) && seconds is >= 1 and <= 3600
            ? TimeSpan.FromSeconds(seconds)
            : throw Usage($"RELAY_CONNECTOR_MEASURE_SECONDS '{text}' is not a whole number from 1 to 3600");
    }

    private static string[] ReadServers(string? text)
    {
        if (text is null)
            return [];
        var servers = text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        foreach (var server in servers)
        {
            if (!ServerAddress.TryParse(server, out _, out _))
                throw Usage($"'{server}' is not a connector server; write host:port");
        }

        return servers;
    }
}
