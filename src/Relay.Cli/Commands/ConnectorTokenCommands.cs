using System.CommandLine;
using Relay.Api;
using Relay.Cli.Client;
using Relay.Cli.Output;

namespace Relay.Cli.Commands;

/// <summary><c>relay connector token create|list|revoke</c>.</summary>
internal static class ConnectorTokenCommands
{
    public static Command Create() => Commands.Group("token", "Tokens: what a connector proves itself with", CreateOne(), List(), Revoke());

    private static Command CreateOne()
    {
        var connector = Commands.Required("--connector", "Connector id or name", "--connector-id", "-c");
        var name = Commands.Optional("--name", "What the token is for", "-n");
        var days = new Option<int?>("--expires-in-days", "-d") { Description = "Days until it expires; 0 or absent: never" };
        var file = Commands.Optional("--out", "Write the token to this file (0600) instead of showing it");
        return new Command("create", "Create a token; it is shown once").With(connector, name, days, file).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var path = $"{ApiRoutes.Connectors}/{ApiClient.Segment(parsed.GetRequiredValue(connector))}/tokens";
            var body = new TokenCreate { Name = parsed.GetValue(name), ExpiresInDays = parsed.GetValue(days) };
            var answer = await api.PostAsync(path, body, ApiJson.Default.TokenCreate, ApiJson.Default.ConnectorTokenResource, cancellationToken);
            TokenOutput.Write(context, answer.Json, "Connector token", answer.Value.Token!, parsed.GetValue(file), "RELAY_TOKEN_FILE");
        });
    }

    private static Command List()
    {
        var connector = Commands.Required("--connector", "Connector id or name", "--connector-id", "-c");
        return new Command("list", "List the tokens of a connector").Alias("ls").With(connector).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var path = $"{ApiRoutes.Connectors}/{ApiClient.Segment(parsed.GetRequiredValue(connector))}/tokens";
            var page = await api.GetAsync(path, ApiJson.Default.ConnectorTokenPage, cancellationToken);
            context.Render.Page(page, "No tokens. Create one with: relay connector token create --connector NAME",
                new Column<ConnectorTokenResource>("TOKEN ID", t => t.Id.ToString()),
                new Column<ConnectorTokenResource>("NAME", t => t.Name),
                new Column<ConnectorTokenResource>("STATUS", t => t.Status),
                new Column<ConnectorTokenResource>("CREATED", t => $"{t.CreatedAt:u} by {t.CreatedBy}"),
                new Column<ConnectorTokenResource>("EXPIRES", t => t.ExpiresAt?.ToString("u") ?? "never"),
                new Column<ConnectorTokenResource>("LAST USED", t => t.LastUsedAt?.ToString("u") ?? "never"));
        });
    }

    private static Command Revoke()
    {
        var token = Commands.Required("--token-id", "Token id", "-t");
        return new Command("revoke", "Revoke a token; a connector that is connected with it is disconnected").With(token).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var json = await api.DeleteAsync($"{ApiRoutes.ConnectorTokens}/{ApiClient.Segment(parsed.GetRequiredValue(token))}", cancellationToken);
            context.Render.Done(json, $"✓ Token {parsed.GetRequiredValue(token)} revoked.");
        });
    }
}

/// <summary>How a token that exists only now is handed over.</summary>
internal static class TokenOutput
{
    public static void Write(CommandContext context, string json, string what, string token, string? file, string variable)
    {
        if (file is not null)
        {
            UserState.WritePrivate(Path.GetFullPath(file), token + "\n");
            context.Render.Out.WriteLine(context.Render.Json ? $$"""{"file":{{System.Text.Json.JsonSerializer.Serialize(Path.GetFullPath(file))}}}""" : $"✓ {what} created and written to {file} (0600). Use it with {variable}={file}");
            return;
        }
        context.Render.Done(json, $"✓ {what} created successfully\nToken: {token}\n⚠️ This token will only be displayed once. Store it securely.");
    }
}
