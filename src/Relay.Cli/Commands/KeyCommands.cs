using System.CommandLine;
using Relay.Api;
using Relay.Cli.Client;
using Relay.Cli.Output;

namespace Relay.Cli.Commands;

/// <summary><c>relay key ls|add|delete</c>: SSH public keys that prove a user without a certificate.</summary>
internal static class KeyCommands
{
    private static readonly Option<string?> s_user = Commands.Optional("--user", "Another user's (administrators): e-mail address or id", "-u");

    public static Command Create() => Commands.Group("key", "Registered SSH public keys, for plain ssh without the CLI", List(), Add(), Delete());

    private static string Path(ParseResult parsed) =>
        parsed.GetValue(s_user) is { } user ? $"{ApiRoutes.Users}/{ApiClient.Segment(user)}/ssh_keys" : ApiRoutes.MeSshKeys;

    private static Command List() => new Command("ls", "List keys").Alias("list").With(s_user).OnApi(async (context, api, parsed, cancellationToken) =>
    {
        var page = await api.GetAsync(Path(parsed), ApiJson.Default.SshKeyPage, cancellationToken);
        context.Render.Page(page, "No keys. Add one with: relay key add ~/.ssh/id_ed25519.pub",
            new Column<SshKeyResource>("KEY ID", k => k.KeyId.ToString()),
            new Column<SshKeyResource>("NAME", k => k.Name),
            new Column<SshKeyResource>("FINGERPRINT", k => k.Fingerprint),
            new Column<SshKeyResource>("LAST USED", k => k.LastUsedAt?.ToString("u") ?? "never"));
    });

    private static Command Add()
    {
        var file = new Argument<string>("file") { Description = "Public key file (.pub), - for stdin" };
        var name = Commands.Optional("--name", "Name (default: the key's comment)", "-n");
        return new Command("add", "Register a public key").With(file, name, s_user).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var body = new SshKeyCreate { PublicKey = Commands.ReadFile(parsed.GetRequiredValue(file)).Trim(), Name = parsed.GetValue(name) };
            var answer = await api.PostAsync(Path(parsed), body, ApiJson.Default.SshKeyCreate, ApiJson.Default.SshKeyResource, cancellationToken);
            context.Render.Done(answer.Json, $"✓ Key {answer.Value.Name} registered ({answer.Value.Fingerprint}).");
        });
    }

    private static Command Delete()
    {
        var key = new Argument<string>("key") { Description = "Key id or fingerprint" };
        return new Command("delete", "Remove a key; sessions opened with it end").With(key, s_user).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var json = await api.DeleteAsync($"{Path(parsed)}/{ApiClient.Segment(parsed.GetRequiredValue(key))}", cancellationToken);
            context.Render.Done(json, $"✓ Key {parsed.GetRequiredValue(key)} removed.");
        });
    }
}
