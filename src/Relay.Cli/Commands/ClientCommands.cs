using System.CommandLine;
using System.Net.Sockets;
using System.Text;
using Relay.Api;
using Relay.Cli.Output;
using Relay.Cli.Ssh;

namespace Relay.Cli.Commands;

/// <summary><c>relay client …</c>: what a user does.</summary>
internal static class ClientCommands
{
    private const string Suffix = "relay";

    public static Command Create() => Commands.Group("client", "Reach sockets", Hosts(), Ssh(), TcpCommand.Create(SocketName), SshConfig(), Proxy());

    private static Command Hosts() => new Command("hosts", "List the sockets you may reach").Alias("ls").Alias("list").OnApi(async (context, api, _, cancellationToken) =>
    {
        var page = await api.GetAsync(Commands.Query(ApiRoutes.ClientResources, ("page_size", "500")), ApiJson.Default.ClientResourcePage, cancellationToken);
        context.Render.Page(page, "No socket that you may reach. Ask an administrator for a policy.",
            new Column<ClientResource>("NAME", r => r.Name),
            new Column<ClientResource>("TYPE", r => r.SocketType),
            new Column<ClientResource>("STATUS", r => r.Alive ? "online" : "offline"),
            new Column<ClientResource>("USER", r => r.SocketType != "ssh" ? "" : r.UsernameProvider == "defined" ? r.Username : "yours to choose"),
            new Column<ClientResource>("DNS NAME", r => r.Dnsname));
    });

    private static Command Ssh()
    {
        var socket = new Argument<string>("socket") { Description = "[user@]socket" };
        var command = new Argument<string[]>("command") { Description = "Command to run there; absent: a shell", Arity = ArgumentArity.ZeroOrMore };
        var login = Commands.Optional("--login", "User on the target", "-l");
        var agent = new Option<bool>("-A") { Description = "Forward your ssh agent" };
        var tty = new Option<bool>("-t") { Description = "Ask for a terminal even with a command" };
        var forward = new Option<string[]>("-L", "--forward") { Description = "[bind:]port:host:hostport, as with ssh" };
        var verbose = new Option<bool>("-v") { Description = "Show what ssh does" };
        return new Command("ssh", "Open a shell or run a command with the system's ssh").With(socket, command, login, agent, tty, forward, verbose).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var prepared = await SshLogin.PrepareAsync(context, api, TimeProvider.System, cancellationToken);
            var target = parsed.GetRequiredValue(socket);
            if (parsed.GetValue(login) is { } user)
                target = $"{user}@{target[(target.LastIndexOf('@') + 1)..]}";
            var (host, port) = prepared.Address;
            List<string> arguments = ["-F", "none", .. prepared.Options(), "-p", port.ToString(System.Globalization.CultureInfo.InvariantCulture), "-l", target];
            if (parsed.GetValue(agent))
                arguments.Add("-A");
            if (parsed.GetValue(tty))
                arguments.Add("-t");
            if (parsed.GetValue(verbose))
                arguments.Add("-v");
            foreach (var spec in parsed.GetValue(forward) ?? [])
                arguments.AddRange(["-L", spec]);
            SystemSsh.Become([.. arguments, "--", host, .. parsed.GetValue(command) ?? []]);
        });
    }

    private static Command SshConfig()
    {
        var renew = new Option<bool>("--renew") { Description = "Only make sure the certificate is good (what the configuration itself calls)", Hidden = true };
        return new Command("ssh-config", "Print a configuration with which plain ssh, scp, sftp, rsync and git reach SOCKET.relay (for ~/.ssh/config)").With(renew).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var prepared = await SshLogin.PrepareAsync(context, api, TimeProvider.System, cancellationToken);
            if (!parsed.GetValue(renew))
                await context.Render.Out.WriteAsync(SshConfigWriter.Write(Environment.ProcessPath!, prepared.Folder, context.Api, Suffix));
        });
    }

    private static Command Proxy()
    {
        var stdio = new Option<bool>("--stdio") { Description = "Carry the connection over stdin and stdout (ProxyCommand)", Required = true };
        var socket = new Argument<string>("socket") { Description = "Socket, with or without the suffix ." + Suffix };
        return new Command("proxy", "Carry one connection to a socket, for ssh's ProxyCommand").With(stdio, socket).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var name = SocketName(parsed.GetRequiredValue(socket));
            var prepared = await SshLogin.PrepareAsync(context, api, TimeProvider.System, cancellationToken);
            var (host, port) = prepared.Address;
            using var connection = new System.Net.Sockets.Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            try
            {
                await connection.ConnectAsync(host, port, cancellationToken);
            }
            catch (SocketException e)
            {
                throw new CliException(ExitCode.Error, $"cannot reach the gateway at {host}:{port} ({e.Message}).");
            }
            await using var gateway = new NetworkStream(connection);
            await gateway.WriteAsync(Encoding.ASCII.GetBytes($"RELAY-1.0 {name}\r\n"), cancellationToken);
            await StdioPump.RunAsync(gateway, () => connection.Shutdown(SocketShutdown.Send), TimeProvider.System, cancellationToken);
        });
    }

    /// <summary>The name as the gateway takes it; anything else is refused here already (L19).</summary>
    private static string SocketName(string given)
    {
        var name = given.EndsWith("." + Suffix, StringComparison.OrdinalIgnoreCase) ? given[..^(Suffix.Length + 1)] : given;
        return name.Length is > 0 and <= 63 && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.')
            ? name
            : throw new CliException(ExitCode.Usage, "a socket's name is 1 to 63 letters, digits, hyphens.");
    }
}
