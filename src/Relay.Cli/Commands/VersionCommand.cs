using System.CommandLine;

namespace Relay.Cli.Commands;

/// <summary><c>relay version</c>.</summary>
internal static class VersionCommand
{
    public static string Version { get; } = typeof(VersionCommand).Assembly.GetName().Version!.ToString(3);

    public static Command Create()
    {
        var command = new Command("version", "Print the version");
        command.SetAction(parsed =>
        {
            var context = CommandContext.From(parsed);
            context.Render.Done($$"""{"version":"{{Version}}","runtime":"{{Environment.Version}}"}""", $"relay {Version} (.NET {Environment.Version})");
        });
        return command;
    }
}
