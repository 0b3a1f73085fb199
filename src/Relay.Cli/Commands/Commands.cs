using System.CommandLine;
using Relay.Cli.Client;

namespace Relay.Cli.Commands;

/// <summary>The command tree's first level.</summary>
internal static class Commands
{
    public static IEnumerable<Command> All() =>
    [
        LoginCommands.Login(),
        LoginCommands.Logout(),
        LoginCommands.WhoAmI(),
        ConnectorCommands.Create(),
        SocketCommands.Create(),
        PolicyCommands.Create(),
        SessionCommands.Create(),
        UserCommands.Create(),
        GroupCommands.Create(),
        KeyCommands.Create(),
        DeviceCommands.Create(),
        OrganizationCommands.Create(),
        GatewayCommands.Create(),
        AuditCommands.Create(),
        ClientCommands.Create(),
        VersionCommand.Create(),
    ];

    /// <summary>An action that talks to the API as whoever is logged in.</summary>
    public static Command OnApi(this Command command, Func<CommandContext, ApiClient, ParseResult, CancellationToken, Task> action)
    {
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var context = CommandContext.From(parsed);
            using var api = context.Client();
            await action(context, api, parsed, cancellationToken);
            return ExitCode.Ok;
        });
        return command;
    }

    /// <summary>A command that only holds others.</summary>
    public static Command Group(string name, string description, params Command[] children)
    {
        var command = new Command(name, description);
        foreach (var child in children)
            command.Add(child);
        return command;
    }

    public static Command With(this Command command, params Symbol[] symbols)
    {
        foreach (var symbol in symbols)
        {
            if (symbol is Argument argument)
                command.Add(argument);
            else if (symbol is Option option)
                command.Add(option);
        }
        return command;
    }

    public static Command Alias(this Command command, string alias)
    {
        command.Aliases.Add(alias);
        return command;
    }

    public static Option<string> Required(string name, string description, params string[] aliases) =>
        new(name, aliases) { Description = description, Required = true };

    public static Option<string?> Optional(string name, string description, params string[] aliases) =>
        new(name, aliases) { Description = description };

    /// <summary>Adds <c>?name=value&amp;…</c> for the values that are there.</summary>
    public static string Query(string path, params (string Name, string? Value)[] parameters)
    {
        var given = parameters.Where(p => p.Value is { Length: > 0 }).Select(p => $"{p.Name}={Uri.EscapeDataString(p.Value!)}").ToArray();
        return given.Length == 0 ? path : $"{path}?{string.Join('&', given)}";
    }

    /// <summary>Reads a file the user named; "-" is stdin.</summary>
    public static string ReadFile(string path)
    {
        try
        {
            return path == "-" ? Console.In.ReadToEnd() : File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CliException(ExitCode.Error, $"cannot read {path}: {e.Message}");
        }
    }
}
