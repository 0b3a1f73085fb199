using System.Collections.Concurrent;
using System.Text.Json;
using Relay.Chaos.History;
using Relay.Chaos.Load;
using Relay.Chaos.Network;
using Relay.Protocol.Ssh;
using Relay.TestKit.Processes;

namespace Relay.Chaos.Grid;

/// <summary>
/// The whole grid: PostgreSQL with a standby, three silos, two gateways, four connectors (of one, two agents fight for the token),
/// a target, users; every one a real process in a node of its own. Caller disposes.
/// </summary>
internal sealed class ChaosGrid : IAsyncDisposable
{
    public const int SshPort = 2222;

    public static readonly IReadOnlyList<string> Silos = ["silo-1", "silo-2", "silo-3"];
    public static readonly IReadOnlyList<string> Gateways = ["gateway-1", "gateway-2"];

    /// <summary>Agents' nodes and the connector of each.</summary>
    public static readonly IReadOnlyList<(string Node, string Connector)> Agents = [("alpha", "alpha"), ("beta", "beta"), ("gamma", "gamma"), ("twin-a", "twin"), ("twin-b", "twin")];

    /// <summary>Everything that is published; sessions to the last two are what revocations are about.</summary>
    public static readonly IReadOnlyList<string> Sockets = ["alpha", "beta", "gamma", "twin", .. RevocableSockets];

    public static readonly IReadOnlyList<string> SweptSockets = ["alpha", "beta", "gamma", "twin"];

    public static readonly IReadOnlyList<string> ForwardingSockets = ["alpha", "beta"];

    private const string EverythingForTheAdministrator = """
        {"version":"v2","permissions":{"ssh":{"shell":{},"exec":{},"sftp":{},"tcp_forwarding":{},"agent_forwarding":{}}},"condition":{"who":{"email":["admin@relay.local"]}}}
        """;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);
    private readonly Dictionary<string, Place> _places = [];
    private readonly ConcurrentDictionary<string, int> _starts = new();
    private readonly LogLines _log;
    private readonly string _logs;
    private readonly ConcurrentBag<TextWriter> _writers = [];

    private ChaosGrid(NodeNetwork network, RunHistory history, string folder, string logs)
    {
        (Network, History, Folder, _logs) = (network, history, folder, logs);
        Cuts = new Cuts(network);
        SlowLinks = new SlowLinks(network);
        Api = new AdminApi(network, Silos);
        _log = new LogLines(network.NodeAt);
        UserKey = SshPrivateKey.Generate(SshKeyKind.Ed25519);
        OpenSsh = new OpenSsh(network, history, folder, Path.Combine(folder, "user-key"));
    }

    public static IReadOnlyList<string> RevocableSockets => ["leave-1", "leave-2"];

    public NodeNetwork Network { get; }

    public RunHistory History { get; }

    public string Folder { get; }

    public Cuts Cuts { get; }

    public SlowLinks SlowLinks { get; }

    public AdminApi Api { get; }

    public Store Store { get; private set; } = null!;

    public SshPrivateKey UserKey { get; }

    public OpenSsh OpenSsh { get; }

    private TargetHost? Target { get; set; }

    /// <param name="logs">Folder for what every node prints.</param>
    public static async Task<ChaosGrid> StartAsync(RunHistory history, string logs)
    {
        Directory.CreateDirectory(logs);
        var nodes = new Dictionary<string, int> { [Store.NodeA] = 41, [Store.NodeB] = 42, [EchoSession.Node] = 51, [TargetHost.Node] = 60 };
        for (var i = 0; i < Silos.Count; i++)
            nodes[Silos[i]] = 11 + i;
        for (var i = 0; i < Gateways.Count; i++)
            nodes[Gateways[i]] = 21 + i;
        for (var i = 0; i < Agents.Count; i++)
            nodes[Agents[i].Node] = 31 + i;
        var network = await NodeNetwork.CreateAsync(nodes);
        var folder = $"/tmp/relay-chaos-{Environment.ProcessId}";
        Directory.CreateDirectory(folder);
        // PostgreSQL runs as another user.
        File.SetUnixFileMode(folder, (UnixFileMode)0b111_101_101);
        var grid = new ChaosGrid(network, history, folder, logs);
        try
        {
            await grid.BuildAsync();
            return grid;
        }
        catch
        {
            await grid.DisposeAsync();
            throw;
        }
    }

    public Place Place(string node) => _places[node];

    /// <summary>A silo's folder: a disk of its own, and a small one.</summary>
    public string StateOf(string silo) => Path.Combine(Folder, silo);

    /// <summary>The last lines of everybody.</summary>
    public string Logs() => string.Join("\n", _places.Values.Select(p => $"--- {p.Node}\n{string.Join('\n', p.Process.Output.Split('\n').TakeLast(15))}"));

    public async ValueTask DisposeAsync()
    {
        foreach (var place in _places.Values.Reverse())
            await place.DisposeAsync();
        if (Target is not null)
            await Target.DisposeAsync();
        if (Store is not null)
            await Store.DisposeAsync();
        foreach (var writer in _writers)
            await writer.DisposeAsync();
        Api.Dispose();
        SlowLinks.Dispose();
        Cuts.Dispose();
        UserKey.Dispose();
        foreach (var silo in Silos)
            await Command.RunAsync("/usr/bin/umount", ["-l", StateOf(silo)]);
        await Network.DisposeAsync();
        Directory.Delete(Folder, recursive: true);
    }

    private async Task BuildAsync()
    {
        Store = await Store.StartAsync(Network, Cuts, History, Folder);
        foreach (var silo in Silos)
        {
            Directory.CreateDirectory(StateOf(silo));
            var mounted = await Command.RunAsync("/usr/bin/mount", ["-t", "tmpfs", "-o", "size=32m,mode=0700", "relay-chaos", StateOf(silo)]);
            if (mounted.ExitCode != 0)
                throw new ChaosSetupException($"No tmpfs for {silo}: {mounted}");
        }

        await StartSiloAsync(Silos[0]);
        await Task.WhenAll(Silos.Skip(1).Select(StartSiloAsync));
        await Api.LogInAsync((await File.ReadAllTextAsync(Path.Combine(Folder, "admin.password"))).Trim());
        var organization = await Api.SendAsync(HttpMethod.Get, "organization");
        Target = await TargetHost.StartAsync(Network, History, Folder, organization.GetProperty("ssh_ca").GetString()!);
        await AllowAsync();
        await Task.WhenAll(Gateways.Select(StartGatewayAsync));
        foreach (var connector in Agents.Select(a => a.Connector).Distinct())
            await PublishAsync(connector, connector);
        await PublishAsync(RevocableSockets[0], "alpha");
        await PublishAsync(RevocableSockets[1], "gamma");
        foreach (var (node, connector) in Agents)
            await StartAgentAsync(node, connector);
    }

    private async Task AllowAsync()
    {
        await File.WriteAllTextAsync(Path.Combine(Folder, "user-key"), UserKey.ExportOpenSsh("user"));
        File.SetUnixFileMode(Path.Combine(Folder, "user-key"), UnixFileMode.UserRead | UnixFileMode.UserWrite);
        await Api.SendAsync(HttpMethod.Post, "me/ssh_keys", new { public_key = UserKey.PublicKey.ToLine("user"), name = "user" });
        await Api.SendAsync(HttpMethod.Delete, "policies/default-org-policy");
    }

    private async Task PublishAsync(string socket, string connector)
    {
        if (socket == connector)
        {
            await Api.SendAsync(HttpMethod.Post, "connectors", new { name = connector });
            var token = await Api.SendAsync(HttpMethod.Post, $"connectors/{connector}/tokens", new { });
            var file = TokenFile(connector);
            await File.WriteAllTextAsync(file, token.GetProperty("token").GetString());
            File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }

        // One connector serves with its own SSH service, the others reach an sshd.
        object ssh = connector == "gamma"
            ? new { ssh_service_type = "connector_built_in_ssh_service" }
            : new { ssh_service_type = "standard", hostname = Network.Address(TargetHost.Node), port = TargetHost.SshPort, username_provider = "defined", username = "root" };
        await Api.SendAsync(HttpMethod.Post, "sockets", new
        {
            name = socket,
            socket_type = "ssh",
            connector_ids = new[] { connector },
            upstream_configuration = new { service_type = "ssh", ssh_service_configuration = ssh },
            host_keys = connector == "gamma" ? null : new[] { Target!.HostKey },
        });
        using var policy = JsonDocument.Parse(EverythingForTheAdministrator);
        await Api.SendAsync(HttpMethod.Post, "policies", new { name = $"allow-{socket}", policy_data = policy.RootElement, socket_ids = new[] { socket } });
    }

    private string TokenFile(string connector) => Path.Combine(Folder, $"{connector}.token");

    private Task StartSiloAsync(string silo) => StartAsync(silo, TimeSpan.FromSeconds(1), "\"msg\":\"silo ready\"", [RelayPrograms.Silo], new()
    {
        ["RELAY_DATABASE"] = $"Host={Store.Address};Username=relay;Database=relay",
        ["RELAY_STATE_DIR"] = StateOf(silo),
        ["RELAY_MASTER_KEY_FILE"] = Path.Combine(Folder, "master.key"),
        ["RELAY_BOOTSTRAP_FILE"] = silo == Silos[0] ? Path.Combine(Folder, "admin.password") : null,
        ["RELAY_NAME"] = silo,
        ["RELAY_API_LISTEN"] = "127.0.0.1:8080",
        ["RELAY_GRID_LISTEN"] = $"{Network.Address(silo)}:7443",
        ["RELAY_CONNECTOR_LISTEN"] = $"{Network.Address(silo)}:7444",
        ["RELAY_LOG_LEVEL"] = "debug",
    });

    private Task StartGatewayAsync(string gateway) => StartAsync(gateway, TimeSpan.FromSeconds(1), "\"msg\":\"gateway ready\"", [RelayPrograms.Gateway], new()
    {
        ["RELAY_STATE_DIR"] = Path.Combine(Folder, gateway),
        ["RELAY_GATEWAY_TOKEN_FILE"] = Path.Combine(StateOf(Silos[0]), "gateway.token"),
        ["RELAY_GATEWAY_NAME"] = gateway,
        ["RELAY_SSH_LISTEN"] = $"{Network.Address(gateway)}:{SshPort}",
        ["RELAY_SILOS"] = string.Join(',', Silos.Select(s => $"{Network.Address(s)}:7443")),
    });

    // Of two that fight for one token the loser ends, and is started again: whoever starts it does not know better.
    private Task StartAgentAsync(string node, string connector) => StartAsync(node, TimeSpan.FromSeconds(connector == node ? 1 : 4), "\"msg\":\"connect", [RelayPrograms.Cli, "connector", "start"], new()
    {
        ["RELAY_TOKEN_FILE"] = TokenFile(connector),
        ["RELAY_CONNECTOR_SERVER"] = string.Join(',', Silos.Select(s => $"{Network.Address(s)}:7444")),
        ["RELAY_LOG_LEVEL"] = "debug",
        ["HOME"] = Folder,
    }, connector);

    private async Task StartAsync(string node, TimeSpan pause, string ready, string[] program, Dictionary<string, string?> environment, string? connector = null)
    {
        var all = TextWriter.Synchronized(new StreamWriter(Path.Combine(_logs, node + ".log")) { AutoFlush = true });
        _writers.Add(all);
        var place = new Place(node, pause, () =>
        {
            var agent = connector is null ? null : $"{node}#{_starts.AddOrUpdate(node, 1, static (_, n) => n + 1)}";
            return NodeProcess.Start(node, Network.Enter(node, program), environment, Folder, History, line =>
            {
                all.WriteLine(line);
                if (_log.Parse(line, node, agent, connector, History.At) is { } happened)
                    History.Add(happened);
            });
        });
        _places[node] = place;
        place.Run();
        if (await place.Process.WaitForAsync(ready, Patience) is null)
            throw new InvalidOperationException($"{node} does not start:\n{place.Process.Output}");
    }
}
