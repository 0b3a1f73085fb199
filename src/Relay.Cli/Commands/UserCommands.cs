using System.CommandLine;
using Relay.Api;
using Relay.Cli.Client;
using Relay.Cli.Output;

namespace Relay.Cli.Commands;

/// <summary><c>relay user ls|show|add|update|delete</c></summary>
internal static class UserCommands
{
    private static readonly Argument<string> s_user = new("user") { Description = "User id or e-mail address" };

    public static Command Create() => Commands.Group("user", "Users", List(), Show(), Add(), Update(), Delete());

    private static string Path(ParseResult parsed) => $"{ApiRoutes.Users}/{ApiClient.Segment(parsed.GetRequiredValue(s_user))}";

    private static Command List() => new Command("ls", "List users").Alias("list").OnApi(async (context, api, _, cancellationToken) =>
    {
        var page = await api.GetAsync(Commands.Query(ApiRoutes.Users, ("page_size", "500")), ApiJson.Default.UserPage, cancellationToken);
        context.Render.Page(page, "No users.",
            new Column<UserResource>("EMAIL", u => u.Email),
            new Column<UserResource>("NAME", u => u.DisplayName),
            new Column<UserResource>("ROLE", u => u.Role),
            new Column<UserResource>("GROUPS", u => string.Join(", ", u.Groups.Select(g => g.Name))),
            new Column<UserResource>("ID", u => u.UserId.ToString()));
    });

    private static Command Show() => new Command("show", "Show one user").With(s_user).OnApi(async (context, api, parsed, cancellationToken) =>
    {
        var answer = await api.GetAsync(Path(parsed), ApiJson.Default.UserResource, cancellationToken);
        context.Render.Details(answer.Json,
            ("USER ID", answer.Value.UserId.ToString()),
            ("EMAIL", answer.Value.Email),
            ("NAME", answer.Value.DisplayName),
            ("ROLE", answer.Value.Role),
            ("PASSWORD", answer.Value.Password.Set ? "set" : "none"),
            ("LOCKED UNTIL", answer.Value.LockedUntil?.ToString("u")),
            ("GROUPS", string.Join(", ", answer.Value.Groups.Select(g => g.Name))));
    });

    private static Command Add()
    {
        var email = Commands.Required("--email", "E-mail address", "-e");
        var name = Commands.Optional("--name", "Display name", "-n");
        var role = Commands.Optional("--role", "admin, member, read_only or client (default)", "-r");
        var passwordFile = Commands.Optional("--password-file", "File with the user's first password, - for stdin; absent: no local password");
        return new Command("add", "Add a user").Alias("create").With(email, name, role, passwordFile).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var body = new UserCreate
            {
                Email = parsed.GetRequiredValue(email),
                DisplayName = parsed.GetValue(name),
                Role = parsed.GetValue(role),
                Password = parsed.GetValue(passwordFile) is { } file ? Commands.ReadFile(file).TrimEnd('\r', '\n') : null,
            };
            var answer = await api.PostAsync(ApiRoutes.Users, body, ApiJson.Default.UserCreate, ApiJson.Default.UserResource, cancellationToken);
            context.Render.Done(answer.Json, $"✓ User {answer.Value.Email} added as {answer.Value.Role}.");
        });
    }

    private static Command Update()
    {
        var name = Commands.Optional("--name", "Display name", "-n");
        var role = Commands.Optional("--role", "admin, member, read_only or client", "-r");
        var passwordFile = Commands.Optional("--password-file", "File with a new password, - for stdin");
        return new Command("update", "Change a user").With(s_user, name, role, passwordFile).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var body = new UserUpdate
            {
                DisplayName = parsed.GetValue(name),
                Role = parsed.GetValue(role),
                Password = parsed.GetValue(passwordFile) is { } file ? Commands.ReadFile(file).TrimEnd('\r', '\n') : null,
            };
            var answer = await api.PatchAsync(Path(parsed), body, ApiJson.Default.UserUpdate, ApiJson.Default.UserResource, cancellationToken);
            context.Render.Done(answer.Json, $"✓ User {answer.Value.Email} updated.");
        });
    }

    private static Command Delete() => new Command("delete", "Delete a user; their live sessions end").With(s_user).OnApi(async (context, api, parsed, cancellationToken) =>
    {
        var json = await api.DeleteAsync(Path(parsed), cancellationToken);
        context.Render.Done(json, $"✓ User {parsed.GetRequiredValue(s_user)} deleted.");
    });
}
