using System.CommandLine;
using Relay.Api;
using Relay.Cli.Client;
using Relay.Cli.Output;

namespace Relay.Cli.Commands;

/// <summary><c>relay gateway list</c> and <c>relay gateway token create|list|revoke</c>.</summary>
internal static class GatewayCommands
{
    public static Command Create() => Commands.Group("gateway", "Gateways: where users connect", List(),
        Commands.Group("token", "Tokens: what a gateway enrols with", CreateToken(), ListTokens(), RevokeToken()));

    private static Command List() => new Command("list", "List the gateways that are connected").Alias("ls").OnApi(async (context, api, _, cancellationToken) =>
    {
        var answer = await api.GetAsync(ApiRoutes.ClientGateways, ApiJson.Default.ClientGateways, cancellationToken);
        context.Render.Table(answer.Json, answer.Value.Gateways, "No gateway is connected.",
            new Column<ClientGateway>("NAME", g => g.Name),
            new Column<ClientGateway>("SSH ADDRESS", g => g.SshAddress),
            new Column<ClientGateway>("LAST SEEN", g => g.LastSeenAt.ToString("u")));
    });

    private static Command CreateToken()
    {
        var name = Commands.Required("--name", "What the token is for", "-n");
        var days = new Option<int?>("--expires-in-days", "-d") { Description = "Days until it expires; 0 or absent: never" };
        var file = Commands.Optional("--out", "Write the token to this file (0600) instead of showing it");
        return new Command("create", "Create a token; it is shown once").With(name, days, file).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var body = new TokenCreate { Name = parsed.GetRequiredValue(name), ExpiresInDays = parsed.GetValue(days) };
            var answer = await api.PostAsync(ApiRoutes.GatewayTokens, body, ApiJson.Default.TokenCreate, ApiJson.Default.GatewayTokenResource, cancellationToken);
            TokenOutput.Write(context, answer.Json, "Gateway token", answer.Value.Token!, parsed.GetValue(file), "RELAY_GATEWAY_TOKEN_FILE");
        });
    }

    private static Command ListTokens() => new Command("list", "List gateway tokens").Alias("ls").OnApi(async (context, api, _, cancellationToken) =>
    {
        var page = await api.GetAsync(ApiRoutes.GatewayTokens, ApiJson.Default.GatewayTokenPage, cancellationToken);
        context.Render.Page(page, "No gateway tokens.",
            new Column<GatewayTokenResource>("TOKEN ID", t => t.Id.ToString()),
            new Column<GatewayTokenResource>("NAME", t => t.Name),
            new Column<GatewayTokenResource>("STATUS", t => t.Status),
            new Column<GatewayTokenResource>("CREATED", t => t.CreatedAt.ToString("u")),
            new Column<GatewayTokenResource>("EXPIRES", t => t.ExpiresAt?.ToString("u") ?? "never"));
    });

    private static Command RevokeToken()
    {
        var token = Commands.Required("--token-id", "Token id", "-t");
        return new Command("revoke", "Revoke a gateway token").With(token).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var json = await api.DeleteAsync($"{ApiRoutes.GatewayTokens}/{ApiClient.Segment(parsed.GetRequiredValue(token))}", cancellationToken);
            context.Render.Done(json, $"✓ Gateway token {parsed.GetRequiredValue(token)} revoked.");
        });
    }
}
