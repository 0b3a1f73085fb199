using System.CommandLine;
using System.Text;
using Relay.Api;
using Relay.Cli.Client;

namespace Relay.Cli.Commands;

/// <summary><c>relay login</c>, <c>logout</c>, <c>whoami</c>.</summary>
internal static class LoginCommands
{
    public static Command Login()
    {
        var email = Commands.Optional("--email", "E-mail address (asked for when absent)", "-e");
        var organization = Commands.Optional("--org", "Organization (default: the grid's first)");
        var passwordFile = Commands.Optional("--password-file", "File with the password, - for stdin (asked for when absent; never an argument, which other users could read)");
        var command = new Command("login", "Log in to the API").With(email, organization, passwordFile);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var context = CommandContext.From(parsed);
            using var api = context.AnonymousClient();
            var request = new LoginRequest
            {
                Email = parsed.GetValue(email) ?? Ask("Email: ", context.Settings.Email),
                Password = parsed.GetValue(passwordFile) is { } file ? Commands.ReadFile(file).TrimEnd('\r', '\n') : AskSecret("Password: "),
                Organization = parsed.GetValue(organization),
            };
            var answer = await api.PostAsync(ApiRoutes.Login, request, ApiJson.Default.LoginRequest, ApiJson.Default.LoginResponse, cancellationToken);
            // Whatever an earlier login left (its certificate above all) must not speak for the new one.
            context.State.Forget();
            context.State.SaveToken(answer.Value.Token);
            context.State.SaveSettings(new Settings(context.Api.ToString(), answer.Value.Me.Email));
            if (context.Render.Json)
                context.Render.Out.WriteLine(System.Text.Json.JsonSerializer.Serialize(answer.Value.Me, ApiJson.Default.Me));
            else
                context.Render.Out.WriteLine($"Login successful: {answer.Value.Me.Email}, {answer.Value.Me.Role} of {answer.Value.Me.Organization.Name}, until {answer.Value.ExpiresAt:u}. Saved in {context.State.TokenFile}.");
            return ExitCode.Ok;
        });
        return command;
    }

    public static Command Logout()
    {
        var command = new Command("logout", "End the login, here and on the server");
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var context = CommandContext.From(parsed);
            if (context.State.LoadToken() is { } token)
            {
                try
                {
                    using var api = new ApiClient(context.Api, token);
                    await api.SendAsync(HttpMethod.Post, ApiRoutes.Logout, null, cancellationToken);
                }
                catch (CliException e) when (e.ExitCode == ExitCode.NotLoggedIn)
                {
                    // The server has ended it already, which is what was asked for.
                }
            }
            context.Render.Done("{}", context.State.Forget() ? "Logged out." : "Nobody was logged in.");
            return ExitCode.Ok;
        });
        return command;
    }

    public static Command WhoAmI() => new Command("whoami", "Show who is logged in").OnApi(async (context, api, _, cancellationToken) =>
    {
        var me = await api.GetAsync(ApiRoutes.Me, ApiJson.Default.Me, cancellationToken);
        context.Render.Details(me.Json,
            ("ORGANIZATION", me.Value.Organization.Name),
            ("IDENTITY TYPE", me.Value.IdentityType),
            ("NAME", me.Value.DisplayName.Length > 0 ? $"{me.Value.DisplayName} <{me.Value.Email}>" : me.Value.Email),
            ("ID", me.Value.UserId.ToString()),
            ("ROLE", me.Value.Role));
    });

    private static string Ask(string prompt, string? fallback)
    {
        if (Console.IsInputRedirected)
            return fallback ?? throw new CliException(ExitCode.Usage, "no terminal to ask on: give --email and --password-file.");
        Console.Error.Write(fallback is null ? prompt : $"{prompt.TrimEnd(' ', ':')} [{fallback}]: ");
        return Console.ReadLine() is { Length: > 0 } line ? line.Trim() : fallback ?? "";
    }

    private static string AskSecret(string prompt)
    {
        if (Console.IsInputRedirected)
            throw new CliException(ExitCode.Usage, "no terminal to ask for the password on: give --password-file FILE, or --password-file - to read it from stdin.");
        Console.Error.Write(prompt);
        var secret = new StringBuilder();
        while (true)
        {
            var key = Console.ReadKey(intercept: true);
            if (key.Key == ConsoleKey.Enter)
                break;
            if (key.Key == ConsoleKey.Backspace)
                secret.Length = Math.Max(0, secret.Length - 1);
            else if (!char.IsControl(key.KeyChar))
                secret.Append(key.KeyChar);
        }
        Console.Error.WriteLine();
        return secret.ToString();
    }
}
