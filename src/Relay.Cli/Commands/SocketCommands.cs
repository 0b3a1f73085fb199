using System.CommandLine;
using Relay.Api;
using Relay.Cli.Client;
using Relay.Cli.Output;

namespace Relay.Cli.Commands;

/// <summary><c>relay socket ls|show|delete</c> and <c>relay socket policy …</c>; see also <see cref="SocketWriteCommands"/>.</summary>
internal static class SocketCommands
{
    private static readonly Argument<string> s_socket = new("socket") { Description = "Socket id or name" };

    public static Command Create() => Commands.Group("socket", "Sockets: the services that connectors publish",
        List(), Show(), SocketWriteCommands.CreateOne(), SocketWriteCommands.Update(), Delete(),
        Commands.Group("policy", "Which policies are attached to a socket", ListPolicies(), PolicyAttachment.Command("attach"), PolicyAttachment.Command("detach")));

    public static string Path(string socket) => $"{ApiRoutes.Sockets}/{ApiClient.Segment(socket)}";

    private static Command List()
    {
        var wide = new Option<bool>("--wide", "-w") { Description = "More columns" };
        return new Command("ls", "List sockets").Alias("list").With(wide).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var page = await api.GetAsync(Commands.Query(ApiRoutes.Sockets, ("page_size", "500")), ApiJson.Default.SocketPage, cancellationToken);
            Column<SocketResource>[] columns =
            [
                new("NAME", s => s.Name),
                new("TYPE", s => s.SocketType),
                new("STATUS", s => s.Alive ? "online" : "offline"),
                new("NOTE", s => s.StatusReason),
            ];
            if (parsed.GetValue(wide))
                columns = [.. columns, new("ID", s => s.SocketId.ToString()), new("DNS NAME", s => s.Dnsname), new("CONNECTORS", s => string.Join(", ", s.Connectors.Select(c => c.Name)))];
            context.Render.Page(page, "No sockets yet. Create one with: relay socket create ssh --name NAME --connector CONNECTOR --host HOST", columns);
        });
    }

    private static Command Show() => new Command("show", "Show one socket").With(s_socket).OnApi(async (context, api, parsed, cancellationToken) =>
        Details(context, await api.GetAsync(Path(parsed.GetRequiredValue(s_socket)), ApiJson.Default.SocketResource, cancellationToken)));

    private static Command Delete() => new Command("delete", "Delete a socket; its live sessions end").With(s_socket).OnApi(async (context, api, parsed, cancellationToken) =>
    {
        var json = await api.DeleteAsync(Path(parsed.GetRequiredValue(s_socket)), cancellationToken);
        context.Render.Done(json, $"✓ Socket {parsed.GetRequiredValue(s_socket)} deleted.");
    });

    private static Command ListPolicies()
    {
        var socket = Commands.Required("--socket", "Socket id or name", "-s");
        return new Command("ls", "List the policies attached to a socket").Alias("list").With(socket).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var page = await api.GetAsync(Path(parsed.GetRequiredValue(socket)) + "/policies", ApiJson.Default.NamedRefPage, cancellationToken);
            context.Render.Page(page, "No policy is attached (organization-wide policies and tag rules may still admit users).",
                new Column<NamedRef>("ID", p => p.Id.ToString()),
                new Column<NamedRef>("NAME", p => p.Name));
        });
    }

    public static void Details(CommandContext context, ApiAnswer<SocketResource> answer)
    {
        var s = answer.Value;
        var ssh = s.UpstreamConfiguration.SshServiceConfiguration;
        var isSsh = s.SocketType == "ssh";
        context.Render.Details(answer.Json,
            ("SOCKET ID", s.SocketId.ToString()),
            ("NAME", s.Name),
            ("TYPE", s.SocketType),
            ("DNS NAME", s.Dnsname),
            ("STATUS", s.Alive ? "online" : "offline"),
            ("NOTE", s.StatusReason),
            ("UPSTREAM", s.Hosts.Count == 0 ? "the connector's built-in SSH service" : string.Join(", ", s.Hosts.Select(h => h.Reason.Length == 0 ? h.Host : $"{h.Host} ({(h.Healthy ? "partly reached" : "not reached")}: {h.Reason})"))),
            ("AUTHENTICATION", ssh?.SshAuthenticationType),
            ("USERNAME", ssh is { UsernameProvider: "defined" } ? ssh.Username : ssh?.UsernameProvider),
            ("RECORDING", s.RecordingEnabled ? "on" : isSsh ? "off" : "off: raw bytes are not recorded"),
            ("CONNECTORS", string.Join(", ", s.Connectors.Select(c => $"{c.Name} ({(c.IsConnected ? "online" : "offline")})"))),
            ("POLICIES", string.Join(", ", s.Policies.Select(p => p.Name))),
            ("TAGS", string.Join(", ", s.Tags.Select(t => $"{t.Key}={t.Value}"))),
            ("HOST KEYS", !isSsh ? null : s.HostKeys.Count == 0 ? "none: pinned when an administrator first connects" : string.Join("; ", s.HostKeys)));
    }
}
