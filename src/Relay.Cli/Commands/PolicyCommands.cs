using System.CommandLine;
using System.Text.Json;
using Relay.Api;
using Relay.Cli.Client;
using Relay.Cli.Output;

namespace Relay.Cli.Commands;

/// <summary><c>relay policy …</c></summary>
internal static class PolicyCommands
{
    private static readonly Argument<string> s_policy = new("policy") { Description = "Policy id or name" };

    public static Command Create() => Commands.Group("policy", "Policies: who may do what, when, from where",
        List(), Show(), CreateOne(), Update(), Delete(), PolicyAttachment.Command("attach"), PolicyAttachment.Command("detach"), PolicyTestCommand.Create());

    public static string Path(string policy) => $"{ApiRoutes.Policies}/{ApiClient.Segment(policy)}";

    private static Command List() => new Command("ls", "List policies").Alias("list").OnApi(async (context, api, _, cancellationToken) =>
    {
        var page = await api.GetAsync(Commands.Query(ApiRoutes.Policies, ("page_size", "500")), ApiJson.Default.PolicyPage, cancellationToken);
        context.Render.Page(page, "No policies: nobody may reach anything. Create one with: relay policy create --name NAME --file FILE",
            new Column<PolicyResource>("NAME", p => p.Name),
            new Column<PolicyResource>("SCOPE", p => p.OrgWide ? "organization" : p.Sockets.Count > 0 ? string.Join(", ", p.Sockets.Select(s => s.Name)) : p.TagRules.Count > 0 ? "by tags" : "nothing"),
            new Column<PolicyResource>("SCHEMA", p => p.Version),
            new Column<PolicyResource>("DESCRIPTION", p => p.Description),
            new Column<PolicyResource>("UPDATED", p => p.UpdatedAt.ToString("u")));
    });

    private static Command Show() => new Command("show", "Show one policy").With(s_policy).OnApi(async (context, api, parsed, cancellationToken) =>
    {
        var answer = await api.GetAsync(Path(parsed.GetRequiredValue(s_policy)), ApiJson.Default.PolicyResource, cancellationToken);
        var p = answer.Value;
        context.Render.Details(answer.Json,
            ("POLICY ID", p.Id.ToString()),
            ("NAME", p.Name),
            ("DESCRIPTION", p.Description),
            ("ORGANIZATION-WIDE", p.OrgWide ? "yes" : "no"),
            ("SOCKETS", string.Join(", ", p.Sockets.Select(s => s.Name))),
            ("TAG RULES", string.Join(" or ", p.TagRules.Select(r => string.Join(" and ", r.Select(t => $"{t.Key}={t.Value}"))))),
            ("EXPIRES", p.Expires?.ToString("u") ?? "never"),
            ("UPDATED", p.UpdatedAt.ToString("u")));
        if (!context.Render.Json)
            context.Render.Out.WriteLine(Indented(p.PolicyData));
    });

    private static Command CreateOne()
    {
        var name = Commands.Required("--name", "Name: lowercase letters, digits, hyphens", "-n");
        var description = Commands.Optional("--description", "What it is for", "-d");
        var file = Commands.Required("--file", "The policy document (JSON), - for stdin", "-f");
        var wide = new Option<bool>("--org-wide", "--orgwide") { Description = "Applies to every socket" };
        var sockets = new Option<string[]>("--socket", "-s") { Description = "Attach to this socket; several allowed" };
        var expires = Expires();
        return new Command("create", "Create a policy").Alias("add").With(name, description, file, wide, sockets, expires).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var body = new PolicyWrite
            {
                Name = parsed.GetRequiredValue(name),
                Description = parsed.GetValue(description),
                OrgWide = parsed.GetValue(wide),
                PolicyData = ReadDocument(parsed.GetRequiredValue(file)),
                SocketIds = parsed.GetValue(sockets),
                Expires = parsed.GetValue(expires),
            };
            var answer = await api.PostAsync(ApiRoutes.Policies, body, ApiJson.Default.PolicyWrite, ApiJson.Default.PolicyResource, cancellationToken);
            var scope = answer.Value.OrgWide ? "for every socket" : answer.Value.Sockets.Count > 0 ? $"for {string.Join(", ", answer.Value.Sockets.Select(s => s.Name))}"
                : $"not attached yet: relay policy attach --name {answer.Value.Name} --socket SOCKET";
            context.Render.Done(answer.Json, $"✓ Policy {answer.Value.Name} created, {scope}.");
        });
    }

    private static Command Update()
    {
        var name = Commands.Optional("--name", "New name", "-n");
        var description = Commands.Optional("--description", "What it is for", "-d");
        var file = Commands.Optional("--file", "The policy document (JSON), - for stdin", "-f");
        var wide = new Option<bool?>("--org-wide", "--orgwide") { Description = "Applies to every socket: true or false", Arity = ArgumentArity.ZeroOrOne };
        var expires = Expires();
        return new Command("update", "Change a policy; sessions it no longer admits end").Alias("edit").With(s_policy, name, description, file, wide, expires).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var body = new PolicyWrite
            {
                Name = parsed.GetValue(name),
                Description = parsed.GetValue(description),
                OrgWide = parsed.GetResult(wide) is null ? null : parsed.GetValue(wide) ?? true,
                PolicyData = parsed.GetValue(file) is { } path ? ReadDocument(path) : null,
                Expires = parsed.GetValue(expires),
            };
            var answer = await api.PatchAsync(Path(parsed.GetRequiredValue(s_policy)), body, ApiJson.Default.PolicyWrite, ApiJson.Default.PolicyResource, cancellationToken);
            context.Render.Done(answer.Json, $"✓ Policy {answer.Value.Name} updated.");
        });
    }

    private static Option<string?> Expires() => Commands.Optional("--expires", "When it ends, as 2027-01-31T18:00:00Z, or never; sessions it admitted end then");

    private static Command Delete() => new Command("delete", "Delete a policy; sessions it admitted end").With(s_policy).OnApi(async (context, api, parsed, cancellationToken) =>
    {
        var json = await api.DeleteAsync(Path(parsed.GetRequiredValue(s_policy)), cancellationToken);
        context.Render.Done(json, $"✓ Policy {parsed.GetRequiredValue(s_policy)} deleted.");
    });

    private static JsonElement ReadDocument(string path)
    {
        var text = Commands.ReadFile(path);
        try
        {
            using var document = JsonDocument.Parse(text);
            return document.RootElement.Clone();
        }
        catch (JsonException e)
        {
            throw new CliException(ExitCode.Usage, $"{path} is not JSON: {e.Message}");
        }
    }

    private static string Indented(JsonElement element)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
            element.WriteTo(writer);
        return System.Text.Encoding.UTF8.GetString(stream.ToArray());
    }
}

/// <summary><c>relay policy attach|detach</c> and <c>relay socket policy attach|detach</c>: one and the same.</summary>
internal static class PolicyAttachment
{
    public static Command Command(string verb)
    {
        var name = Commands.Required("--name", "Policy id or name", "-n");
        var socket = Commands.Required("--socket", "Socket id or name", "-s");
        return new Command(verb, verb == "attach" ? "Attach a policy to a socket" : "Detach a policy from a socket; sessions it admitted end").With(name, socket).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var change = new AttachmentChange { Action = verb == "attach" ? "add" : "remove", Id = parsed.GetRequiredValue(socket) };
            var body = ApiClient.Body(new AttachmentChanges { Actions = [change] }, ApiJson.Default.AttachmentChanges);
            var json = await api.SendAsync(HttpMethod.Put, PolicyCommands.Path(parsed.GetRequiredValue(name)) + "/sockets", body, cancellationToken);
            context.Render.Done(json, $"✓ Policy {parsed.GetRequiredValue(name)} {verb}ed {(verb == "attach" ? "to" : "from")} {parsed.GetRequiredValue(socket)}.");
        });
    }
}
