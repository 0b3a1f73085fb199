using System.CommandLine;
using Relay.Cli;
using Relay.Cli.Commands;
using Relay.Cli.Ssh;
using Relay.Protocol.Hosting;

var root = new RootCommand(CommandContext.Description)
{
    CommandContext.OutputOption,
    CommandContext.ApiOption,
};
foreach (var command in Commands.All())
    root.Add(command);

if (RelayVariables.Problems() is { Count: > 0 } problems && !args.Any(a => a is "--help" or "-h" or "-?"))
{
    foreach (var problem in problems)
        Console.Error.WriteLine($"Error: {problem}");
    return ExitCode.Usage;
}

var parsed = root.Parse(SshArguments.Separate(args));
if (parsed.Errors.Count > 0)
{
    foreach (var error in parsed.Errors)
        Console.Error.WriteLine($"Error: {error.Message}");
    Console.Error.WriteLine($"See: {CommandPath(parsed)} --help");
    return ExitCode.Usage;
}

try
{
    return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
}
catch (CliException e)
{
    Console.Error.WriteLine($"Error: {e.Message}");
    return e.ExitCode;
}
catch (OperationCanceledException)
{
    return ExitCode.Error;
}

static string CommandPath(ParseResult parsed)
{
    var names = new Stack<string>();
    for (System.CommandLine.Parsing.SymbolResult? result = parsed.CommandResult; result is System.CommandLine.Parsing.CommandResult command; result = result.Parent)
        names.Push(command.Command is RootCommand ? "relay" : command.Command.Name);
    return string.Join(' ', names);
}
