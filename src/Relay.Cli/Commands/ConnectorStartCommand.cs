using System.CommandLine;

namespace Relay.Cli.Commands;

/// <summary><c>relay connector start</c> and <c>run</c> (the same): the agent, in the foreground, with JSON log lines.</summary>
internal static class ConnectorStartCommand
{
    public static Command Start() => Create("start");

    public static Command Run() => Create("run");

    private static Command Create(string name)
    {
        var command = new Command(name, "Run the connector in the foreground (start and run are the same)");
        return command;
    }
}
