using System.CommandLine;
using Relay.Api;
using Relay.Cli.Client;
using Relay.Cli.Output;

namespace Relay.Cli.Commands;

/// <summary><c>relay connector …</c>: the resources; the agent itself is <see cref="ConnectorStartCommand"/>.</summary>
internal static class ConnectorCommands
{
    private static readonly Argument<string> s_connector = new("connector") { Description = "Connector id or name" };

    public static Command Create() => Commands.Group("connector", "Connectors: agents in private networks that publish sockets",
        ConnectorStartCommand.Start(),
        ConnectorStartCommand.Run(),
        List(),
        Show(),
        CreateOne(),
        Delete(),
        ConnectorTokenCommands.Create());

    private static Command List() => new Command("list", "List connectors").Alias("ls").OnApi(async (context, api, _, cancellationToken) =>
    {
        var page = await api.GetAsync(Commands.Query(ApiRoutes.Connectors, ("page_size", "500")), ApiJson.Default.ConnectorPage, cancellationToken);
        context.Render.Page(page, "No connectors yet. Create one with: relay connector create --name NAME",
            new Column<ConnectorResource>("CONNECTOR ID", c => c.ConnectorId.ToString()),
            new Column<ConnectorResource>("NAME", c => c.Name),
            new Column<ConnectorResource>("DESCRIPTION", c => c.Description),
            new Column<ConnectorResource>("STATUS", c => c.Status),
            new Column<ConnectorResource>("LAST SEEN", c => c.LastSeenAt?.ToString("u") ?? "never"));
    });

    private static Command Show() => new Command("show", "Show one connector").With(s_connector).OnApi(async (context, api, parsed, cancellationToken) =>
    {
        var answer = await api.GetAsync(Path(parsed), ApiJson.Default.ConnectorResource, cancellationToken);
        Details(context, answer);
    });

    private static Command CreateOne()
    {
        var name = Commands.Required("--name", "Name: letters, digits, hyphens", "-n");
        var description = Commands.Optional("--description", "What it is for", "-d");
        return new Command("create", "Create a connector").With(name, description).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var body = new ConnectorWrite { Name = parsed.GetRequiredValue(name), Description = parsed.GetValue(description) };
            var answer = await api.PostAsync(ApiRoutes.Connectors, body, ApiJson.Default.ConnectorWrite, ApiJson.Default.ConnectorResource, cancellationToken);
            context.Render.Done(answer.Json, $"✓ Connector {answer.Value.Name} created ({answer.Value.ConnectorId}).\n  Next: relay connector token create --connector {answer.Value.Name}");
        });
    }

    private static Command Delete() => new Command("delete", "Delete a connector and its tokens").With(s_connector).OnApi(async (context, api, parsed, cancellationToken) =>
    {
        var json = await api.DeleteAsync(Path(parsed), cancellationToken);
        context.Render.Done(json, $"✓ Connector {parsed.GetRequiredValue(s_connector)} deleted.");
    });

    private static string Path(ParseResult parsed) => $"{ApiRoutes.Connectors}/{ApiClient.Segment(parsed.GetRequiredValue(s_connector))}";

    private static void Details(CommandContext context, ApiAnswer<ConnectorResource> answer)
    {
        var c = answer.Value;
        context.Render.Details(answer.Json,
            ("CONNECTOR ID", c.ConnectorId.ToString()),
            ("NAME", c.Name),
            ("DESCRIPTION", c.Description),
            ("STATUS", c.Status),
            ("LAST SEEN", c.LastSeenAt?.ToString("u") ?? "never"),
            ("CONNECTED SINCE", c.ConnectedSince?.ToString("u")),
            ("CONNECTED FROM", c.ConnectedFrom),
            ("SILO", c.Silo),
            ("ACTIVE TOKENS", c.ActiveTokens.ToString(System.Globalization.CultureInfo.InvariantCulture)),
            ("SOCKETS", string.Join(", ", c.Sockets.Select(s => s.Name))),
            ("METADATA", string.Join(", ", c.Metadata.Select(m => $"{m.Key}={m.Value}"))));
    }
}
