using System.CommandLine;
using Relay.Api;

namespace Relay.Cli.Commands;

/// <summary><c>relay policy test</c>: what one policy says to an identity, an address and a time; exit code 4 when it refuses.</summary>
internal static class PolicyTestCommand
{
    public static Command Create()
    {
        var name = Commands.Required("--name", "Policy id or name", "-n");
        var email = Commands.Required("--email", "E-mail address of the user", "-e");
        var ip = Commands.Optional("--ip", "Client address (default: 127.0.0.1)", "-i");
        var country = Commands.Optional("--country", "ISO country code the address is taken to be in");
        var time = new Option<DateTimeOffset?>("--time", "-t") { Description = "When (RFC 3339; default: now)" };
        var socket = Commands.Optional("--socket", "Socket id or name", "-s");
        var username = Commands.Optional("--username", "User on the target", "-u");
        var commandLine = Commands.Optional("--command", "Command line for the exec action");
        var destination = Commands.Optional("--destination", "host:port for the tcp_forwarding action");
        var command = new Command("test", "Ask a policy what it would say").With(name, email, ip, country, time, socket, username, commandLine, destination);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var context = CommandContext.From(parsed);
            using var api = context.Client();
            var body = new PolicyTestRequest
            {
                Email = parsed.GetRequiredValue(email),
                Ip = parsed.GetValue(ip),
                Country = parsed.GetValue(country),
                Time = parsed.GetValue(time),
                Socket = parsed.GetValue(socket),
                Username = parsed.GetValue(username),
                Command = parsed.GetValue(commandLine),
                Destination = parsed.GetValue(destination),
            };
            var answer = await api.PostAsync(PolicyCommands.Path(parsed.GetRequiredValue(name)) + "/test", body,
                ApiJson.Default.PolicyTestRequest, ApiJson.Default.PolicyTestResponse, cancellationToken);
            Print(context, answer.Json, answer.Value);
            return answer.Value.Passed ? ExitCode.Ok : ExitCode.Denied;
        });
        return command;
    }

    private static void Print(CommandContext context, string json, PolicyTestResponse answer)
    {
        if (context.Render.Json)
        {
            context.Render.Out.WriteLine(json);
            return;
        }
        context.Render.Out.WriteLine(answer.Passed ? $"✅ Policy Passed! Allowed: {string.Join(", ", answer.AllowedActions)}" : "⛔ Policy Failed");
        foreach (var action in answer.Actions)
        {
            context.Render.Out.WriteLine($"{action.Action}: {(action.Allowed ? "allowed" : "denied")}");
            foreach (var reason in action.Reasons)
                context.Render.Out.WriteLine($"  {(reason.Met ? "✓" : "✗")} {reason.Clause}: {Output.Render.Printable(reason.Message)}");
        }
    }
}
