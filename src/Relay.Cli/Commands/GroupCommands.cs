using System.CommandLine;
using Relay.Api;
using Relay.Cli.Client;
using Relay.Cli.Output;

namespace Relay.Cli.Commands;

/// <summary><c>relay group ls|show|add|delete</c> and <c>relay group member add|remove</c></summary>
internal static class GroupCommands
{
    private static readonly Argument<string> s_group = new("group") { Description = "Group id or name" };
    private static readonly Argument<string> s_user = new("user") { Description = "User id or e-mail address" };

    public static Command Create() => Commands.Group("group", "Groups of users", List(), Show(), Add(), Delete(),
        Commands.Group("member", "Members", Member("add", HttpMethod.Put), Member("remove", HttpMethod.Delete)));

    private static string Path(ParseResult parsed) => $"{ApiRoutes.Groups}/{ApiClient.Segment(parsed.GetRequiredValue(s_group))}";

    private static Command List() => new Command("ls", "List groups").Alias("list").OnApi(async (context, api, _, cancellationToken) =>
    {
        var page = await api.GetAsync(Commands.Query(ApiRoutes.Groups, ("page_size", "500")), ApiJson.Default.GroupPage, cancellationToken);
        context.Render.Page(page, "No groups. Add one with: relay group add --name NAME",
            new Column<GroupResource>("NAME", g => g.DisplayName),
            new Column<GroupResource>("MEMBERS", g => string.Join(", ", g.Members.Select(m => m.Name))),
            new Column<GroupResource>("ID", g => g.GroupId.ToString()));
    });

    private static Command Show() => new Command("show", "Show one group").With(s_group).OnApi(async (context, api, parsed, cancellationToken) =>
    {
        var answer = await api.GetAsync(Path(parsed), ApiJson.Default.GroupResource, cancellationToken);
        context.Render.Details(answer.Json,
            ("GROUP ID", answer.Value.GroupId.ToString()),
            ("NAME", answer.Value.DisplayName),
            ("MEMBERS", string.Join(", ", answer.Value.Members.Select(m => m.Name))));
    });

    private static Command Add()
    {
        var name = Commands.Required("--name", "Name", "-n");
        var members = new Option<string[]>("--member", "-m") { Description = "E-mail address or user id; several allowed" };
        return new Command("add", "Add a group").Alias("create").With(name, members).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var body = new GroupWrite { DisplayName = parsed.GetRequiredValue(name), Members = parsed.GetValue(members) };
            var answer = await api.PostAsync(ApiRoutes.Groups, body, ApiJson.Default.GroupWrite, ApiJson.Default.GroupResource, cancellationToken);
            context.Render.Done(answer.Json, $"✓ Group {answer.Value.DisplayName} added with {answer.Value.Members.Count} members.");
        });
    }

    private static Command Delete() => new Command("delete", "Delete a group").With(s_group).OnApi(async (context, api, parsed, cancellationToken) =>
    {
        var json = await api.DeleteAsync(Path(parsed), cancellationToken);
        context.Render.Done(json, $"✓ Group {parsed.GetRequiredValue(s_group)} deleted.");
    });

    private static Command Member(string verb, HttpMethod method) =>
        new Command(verb, verb == "add" ? "Add a user to a group" : "Remove a user from a group; sessions that needed it end").With(s_group, s_user).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var user = parsed.GetRequiredValue(s_user);
            var json = await api.SendAsync(method, $"{Path(parsed)}/members/{ApiClient.Segment(user)}", null, cancellationToken);
            context.Render.Done(json, $"✓ {user} {(verb == "add" ? "added to" : "removed from")} {parsed.GetRequiredValue(s_group)}.");
        });
}
