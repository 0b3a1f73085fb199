using System.CommandLine;
using Microsoft.Extensions.Logging;
using Relay.Connector;
using Relay.Connector.BuiltInSsh;
using Relay.Connector.Configuration;
using Relay.Protocol.Hosting;

namespace Relay.Cli.Commands;

/// <summary>
/// <c>relay connector start</c> and <c>run</c> (the same): the agent, in the foreground, with JSON log lines.
/// SIGTERM and SIGINT drain it; its exit codes are <see cref="ConnectorExitCode"/>.
/// </summary>
internal static class ConnectorStartCommand
{
    public static Command Start() => Create("start");

    public static Command Run() => Create("run");

    private static Command Create(string name)
    {
        var config = Commands.Optional("--config", "Configuration file (YAML); default: RELAY_CONFIG_FILE, ./relay.yaml, /etc/relay/relay.yaml, ~/.relay/config.yaml", "-f");
        var tokenFile = Commands.Optional("--token-file", "File with the token, 0600 (default: RELAY_TOKEN_FILE, RELAY_TOKEN, the configuration file)");
        var connector = Commands.Optional("--connector-id", "Refuse to run unless the token is this connector's");
        var server = Commands.Optional("--server", "host:port of a silo's connector port, comma-separated (default: RELAY_CONNECTOR_SERVER, then those the token names)");
        var command = new Command(name, "Run the connector in the foreground (start and run are the same)").With(config, tokenFile, connector, server);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var flags = new ConnectorFlags
            {
                ConfigFile = parsed.GetValue(config),
                TokenFile = parsed.GetValue(tokenFile),
                ConnectorId = parsed.GetValue(connector),
                Server = parsed.GetValue(server),
            };
            using var loggers = LoggerFactory.Create(logging => logging.AddJsonLines().SetMinimumLevel(Level(flags)));
            using var ssh = new BuiltInSshService(loggers.CreateLogger("Relay.Connector.BuiltInSsh"), TimeProvider.System);
            using var signals = new StopSignals(cancellationToken);
            return await RelayConnector.RunAsync(flags, ssh, loggers, TimeProvider.System, signals.Stop);
        });
        return command;
    }

    // A level that cannot be read is reported with everything else that cannot, by the connector.
    private static LogLevel Level(ConnectorFlags flags)
    {
        try
        {
            return ConnectorOptionsReader.ReadLogLevel(flags, Environment.GetEnvironmentVariable);
        }
        catch (ConnectorConfigurationException)
        {
            return LogLevel.Information;
        }
    }
}
