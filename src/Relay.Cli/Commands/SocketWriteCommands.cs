using System.CommandLine;
using System.Globalization;
using Relay.Api;

namespace Relay.Cli.Commands;

/// <summary><c>relay socket create TYPE</c> and <c>relay socket update</c>: the same options, all optional in an update.</summary>
internal sealed class SocketWriteCommands
{
    private readonly Option<string?> _name = Commands.Optional("--name", "Name: letters, digits, hyphens", "-n");
    private readonly Option<string?> _description = Commands.Optional("--description", "What it is for", "-d");
    private readonly Option<string[]> _connectors = new("--connector", "-c") { Description = "Connector id or name; several for high availability" };
    private readonly Option<string?> _type = Commands.Optional("--upstream-type", "standard (an sshd, default) or connector_built_in_ssh_service (a shell on the connector's host)");
    private readonly Option<string[]> _host = new("--host") { Description = "Host of the target, as the connector resolves it; several (HOST or HOST:PORT) are a pool of equals" };
    private readonly Option<int?> _port = new("--port", "-p") { Description = "Port of the target (ssh: default 22)" };
    private readonly Option<string?> _username = Commands.Optional("--username", "User on the target; absent: whom the user asks for", "-u");
    private readonly Option<string?> _auth = Commands.Optional("--auth", "relay_certificate (default), private_key or username_and_password");
    private readonly Option<string?> _passwordFile = Commands.Optional("--password-file", "File with the target's password, - for stdin");
    private readonly Option<string?> _keyFile = Commands.Optional("--private-key-file", "File with the private key for the target (PEM, not encrypted), - for stdin");
    private readonly Option<string[]> _hostKeys = new("--host-key") { Description = "Accepted host key of the target: a .pub file, or the line itself. Absent: pinned when an administrator first connects" };
    private readonly Option<string[]> _tags = new("--tag") { Description = "Tag, key=value; several allowed" };
    private readonly Option<bool?> _recording = new("--recording") { Description = "Record sessions (default: true)", Arity = ArgumentArity.ZeroOrOne };

    public static Command CreateOne()
    {
        var options = new SocketWriteCommands();
        var type = new Argument<string>("type") { Description = "Socket type: ssh, tls (or tcp: any TCP service), udp" };
        var command = options.AddTo(new Command("create", "Create a socket").With(type));
        return command.OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var kind = parsed.GetRequiredValue(type) is "tcp" ? "tls" : parsed.GetRequiredValue(type);
            var body = new SocketCreate
            {
                Name = parsed.GetValue(options._name),
                Description = parsed.GetValue(options._description),
                SocketType = kind,
                ConnectorIds = parsed.GetValue(options._connectors),
                RecordingEnabled = options.Recording(parsed),
                Tags = options.Tags(parsed),
                HostKeys = options.HostKeys(parsed),
                UpstreamConfiguration = kind switch { "tls" => options.Tls(parsed), "udp" => options.Udp(parsed), _ => options.Upstream(parsed) },
            };
            var answer = await api.PostAsync(ApiRoutes.Sockets, body, ApiJson.Default.SocketCreate, ApiJson.Default.SocketResource, cancellationToken);
            var note = answer.Value.StatusReason.Length > 0 ? $"\n  Note: {answer.Value.StatusReason}" : "";
            context.Render.Done(answer.Json, $"✓ Socket {answer.Value.Name} created ({answer.Value.SocketId}).{note}\n  Next: {Next(answer.Value)}");
        });
    }

    public static Command Update()
    {
        var options = new SocketWriteCommands();
        var socket = new Argument<string>("socket") { Description = "Socket id or name" };
        var command = options.AddTo(new Command("update", "Change a socket; what is not named stays").With(socket));
        return command.OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var path = SocketCommands.Path(parsed.GetRequiredValue(socket));
            var body = new SocketUpdate
            {
                Name = parsed.GetValue(options._name),
                Description = parsed.GetValue(options._description),
                ConnectorIds = parsed.GetResult(options._connectors) is null ? null : parsed.GetValue(options._connectors),
                RecordingEnabled = options.Recording(parsed),
                Tags = options.Tags(parsed),
                HostKeys = options.HostKeys(parsed),
                UpstreamConfiguration = options.TouchesUpstream(parsed)
                    ? options.Change(parsed, (await api.GetAsync(path, ApiJson.Default.SocketResource, cancellationToken)).Value.UpstreamConfiguration)
                    : null,
            };
            var answer = await api.PatchAsync(path, body, ApiJson.Default.SocketUpdate, ApiJson.Default.SocketResource, cancellationToken);
            context.Render.Done(answer.Json, $"✓ Socket {answer.Value.Name} updated.");
        });
    }

    private Command AddTo(Command command) => command.With(_name, _description, _connectors, _type, _host, _port, _username, _auth, _passwordFile, _keyFile, _hostKeys, _tags, _recording);

    private bool TouchesUpstream(ParseResult parsed) =>
        new Option[] { _type, _host, _port, _username, _auth, _passwordFile, _keyFile }.Any(o => parsed.GetResult(o) is { Implicit: false });

    /// <summary>What the options say; where they are silent, <paramref name="now"/> stays (secrets stay on the server's side).</summary>
    private UpstreamConfigurationWrite Upstream(ParseResult parsed, SshServiceConfiguration? now = null)
    {
        var keyFile = parsed.GetValue(_keyFile);
        var passwordFile = parsed.GetValue(_passwordFile);
        var auth = parsed.GetValue(_auth) ?? (keyFile is not null ? "private_key" : passwordFile is not null ? "username_and_password" : now?.SshAuthenticationType);
        var (hostname, port, hosts) = Hosts(parsed, now?.Hostname, now?.Port, now?.Hosts);
        return new UpstreamConfigurationWrite
        {
            ServiceType = "ssh",
            SshServiceConfiguration = new SshServiceConfigurationWrite
            {
                SshServiceType = parsed.GetValue(_type) ?? now?.SshServiceType ?? "standard",
                Hostname = hostname,
                Port = port,
                Hosts = hosts,
                SshAuthenticationType = auth,
                Username = parsed.GetValue(_username) ?? now?.Username,
                Password = passwordFile is null ? null : Commands.ReadFile(passwordFile).TrimEnd('\r', '\n'),
                PrivateKey = keyFile is null ? null : Commands.ReadFile(keyFile),
            },
        };
    }

    private static string Next(SocketResource socket) => socket.SocketType switch
    {
        "tls" => $"relay client tcp --host {socket.Name} --listener PORT",
        "udp" => "relay device add NAME; a UDP socket is reached over WireGuard only",
        _ => $"relay client ssh {socket.Name}",
    };

    private UpstreamConfigurationWrite Change(ParseResult parsed, UpstreamConfiguration now) => now switch
    {
        { TlsServiceConfiguration: { } tls } => Tls(parsed, tls),
        { UdpServiceConfiguration: { } udp } => Udp(parsed, udp),
        _ => Upstream(parsed, now.SshServiceConfiguration),
    };

    private UpstreamConfigurationWrite Tls(ParseResult parsed, TlsServiceConfiguration? now = null)
    {
        CheckRaw(parsed, "tls");
        var (hostname, port, hosts) = Hosts(parsed, now?.Hostname, now?.Port, now?.Hosts);
        return new UpstreamConfigurationWrite { ServiceType = "tls", TlsServiceConfiguration = new TlsServiceConfigurationWrite { Hostname = hostname, Port = port, Hosts = hosts } };
    }

    private UpstreamConfigurationWrite Udp(ParseResult parsed, UdpServiceConfiguration? now = null)
    {
        CheckRaw(parsed, "udp");
        var (hostname, port, hosts) = Hosts(parsed, now?.Hostname, now?.Port, now?.Hosts);
        return new UpstreamConfigurationWrite { ServiceType = "udp", UdpServiceConfiguration = new UdpServiceConfigurationWrite { Hostname = hostname, Port = port, Hosts = hosts } };
    }

    private void CheckRaw(ParseResult parsed, string type)
    {
        if (new Option[] { _type, _username, _auth, _passwordFile, _keyFile }.FirstOrDefault(o => parsed.GetResult(o) is { Implicit: false }) is { } given)
            throw new CliException(ExitCode.Usage, $"{given.Name} has no meaning for a {type} socket: nobody logs in to its target.");
    }

    private (string? Hostname, int? Port, IReadOnlyList<PoolHostWrite>? Hosts) Hosts(ParseResult parsed, string? hostname, int? presentPort, IReadOnlyList<PoolHost>? present)
    {
        var port = parsed.GetValue(_port);
        var given = parsed.GetValue(_host) ?? [];
        if (given.Length > 1)
            return (null, null, [.. given.Select(h => Host(h, port))]);
        if (given.Length == 1)
            return (given[0], port ?? (present is null ? presentPort : null), null);
        return present is { } pool && port is null
            ? (null, null, [.. pool.Select(h => new PoolHostWrite { Hostname = h.Hostname, Port = h.Port })])
            : (hostname, port ?? presentPort, null);
    }

    // One colon is a port's; an IPv6 address has more, and with a port brackets.
    private static PoolHostWrite Host(string text, int? port)
    {
        var colon = text.LastIndexOf(':');
        if (colon <= 0 || (text.IndexOf(':', StringComparison.Ordinal) != colon && text[colon - 1] != ']'))
            return new PoolHostWrite { Hostname = text, Port = port };
        return int.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var own)
            ? new PoolHostWrite { Hostname = text[..colon].Trim('[', ']'), Port = own }
            : throw new CliException(ExitCode.Usage, $"--host takes HOST or HOST:PORT, not '{text}'.");
    }

    private bool? Recording(ParseResult parsed) => parsed.GetResult(_recording) is null ? null : parsed.GetValue(_recording) ?? true;

    private string[]? HostKeys(ParseResult parsed) => parsed.GetResult(_hostKeys) is null
        ? null
        : [.. parsed.GetValue(_hostKeys)!.Select(k => k.Contains(' ', StringComparison.Ordinal) ? k : Commands.ReadFile(k).Trim())];

    private Dictionary<string, string>? Tags(ParseResult parsed)
    {
        if (parsed.GetResult(_tags) is null)
            return null;
        var tags = new Dictionary<string, string>();
        foreach (var tag in parsed.GetValue(_tags)!)
        {
            var equals = tag.IndexOf('=', StringComparison.Ordinal);
            if (equals <= 0)
                throw new CliException(ExitCode.Usage, $"--tag takes key=value, not '{tag}'.");
            tags[tag[..equals]] = tag[(equals + 1)..];
        }
        return tags;
    }
}
