using System.Text.Json;

namespace Relay.TestKit.Processes;

/// <summary>
/// A whole grid of real processes: PostgreSQL, silos, a gateway, connectors, and the CLI as its administrator uses it.
/// Every port is the system's choice; every file is under <see cref="Folder"/>, which goes away at the end.
/// </summary>
public sealed class RelayGrid : IAsyncDisposable
{
    private readonly List<RunningProcess> _processes = [];
    private PrivatePostgres? _database;

    private RelayGrid() => Folder = Directory.CreateTempSubdirectory("relay-grid-").FullName;

    public string Folder { get; }

    public List<Silo> Silos { get; } = [];

    public GatewayProcess Gateway { get; private set; } = null!;

    /// <summary>"host:port" users dial.</summary>
    public string SshAddress => Gateway.SshAddress;

    /// <summary>Npgsql connection string of the silos' database.</summary>
    public string Database { get; private set; } = "";

    public string Home => Path.Combine(Folder, "home");

    /// <summary>One silo of the grid and the addresses it got.</summary>
    public sealed record Silo(RunningProcess Process, string Api, string Grid, string Connectors);

    /// <summary>RELAY_DRAIN_SECONDS of silos and gateways. Zero: nothing of a test's end waits.</summary>
    public int DrainSeconds { get; init; }

    /// <summary>Silo N says that it is in region "rN".</summary>
    public bool Regions { get; init; }

    /// <summary>Where all of it runs, the CLI too; null: beside the test.</summary>
    public NetworkNamespace? Network { get; init; }

    /// <summary>Further variables of the silos.</summary>
    public IReadOnlyDictionary<string, string?> SiloSettings { get; init; } = new Dictionary<string, string?>();

    /// <summary>Further variables of the gateways.</summary>
    public IReadOnlyDictionary<string, string?> GatewaySettings { get; init; } = new Dictionary<string, string?>();

    /// <param name="silos">How many silo processes, all on one PostgreSQL.</param>
    /// <param name="gatewaySilo">Index of the one silo the gateway is told about.</param>
    /// <param name="database">Npgsql connection string of a database that the test made and may take away; null: a private one.</param>
    public static async Task<RelayGrid> StartAsync(int silos = 1, int gatewaySilo = 0, int drainSeconds = 0, bool regions = false, string? database = null)
    {
        var grid = new RelayGrid { DrainSeconds = drainSeconds, Regions = regions };
        await grid.StartAllAsync(silos, gatewaySilo, database);
        return grid;
    }

    /// <summary>As above in a network namespace; PostgreSQL is reached by its Unix socket from there, too.</summary>
    /// <param name="database">As above, one that can be reached from there.</param>
    public static async Task<RelayGrid> StartInAsync(
        NetworkNamespace network, IReadOnlyDictionary<string, string?> siloSettings, IReadOnlyDictionary<string, string?> gatewaySettings,
        int drainSeconds = 0, int silos = 1, bool regions = false, string? database = null)
    {
        var grid = new RelayGrid { DrainSeconds = drainSeconds, Network = network, SiloSettings = siloSettings, GatewaySettings = gatewaySettings, Regions = regions };
        await grid.StartAllAsync(silos, 0, database);
        return grid;
    }

    private async Task StartAllAsync(int silos, int gatewaySilo, string? database)
    {
        try
        {
            _database = database is null ? await PrivatePostgres.CreateAsync(migrated: false) : null;
            Database = database ?? _database!.ConnectionString;
            for (var i = 0; i < silos; i++)
                await StartSiloAsync();
            Gateway = await StartGatewayAsync("gateway-0", Silos[gatewaySilo], Regions ? $"r{gatewaySilo}" : null);
            var login = await CliAsync("login", "--email", "admin@relay.local", "--password-file", Path.Combine(Folder, "admin.password"));
            if (login.ExitCode != 0)
                throw new InvalidOperationException($"The administrator could not log in: {login}");
        }
        catch
        {
            await DisposeAsync();
            throw;
        }
    }

    /// <summary>Runs <c>relay …</c> against the first silo, as the administrator.</summary>
    public Task<CommandResult> CliAsync(params string[] arguments) => CliOnAsync(Silos[0], arguments);

    public Task<CommandResult> CliOnAsync(Silo silo, params string[] arguments) =>
        Network is null
            ? Command.RunAsync(RelayPrograms.Cli, arguments, CliEnvironment(silo), workingDirectory: Folder)
            : Command.RunAsync("ip", ["netns", "exec", Network.Name, RelayPrograms.Cli, .. arguments], CliEnvironment(silo), workingDirectory: Folder);

    /// <summary>As <see cref="CliAsync"/>, and fails with what was printed unless it exits 0. Gives stdout.</summary>
    public async Task<string> RelayAsync(params string[] arguments)
    {
        var result = await CliAsync(arguments);
        if (result.ExitCode != 0)
            throw new InvalidOperationException($"relay {string.Join(' ', arguments)}: {result}\n{Logs()}");
        return result.Text;
    }

    /// <summary>As <see cref="RelayAsync"/> with <c>--output json</c>, parsed.</summary>
    public async Task<JsonElement> RelayJsonAsync(params string[] arguments)
    {
        using var document = JsonDocument.Parse(await RelayAsync([.. arguments, "--output", "json"]));
        return document.RootElement.Clone();
    }

    /// <summary>Creates a connector with a token and starts its agent against the given silo; returns once it is connected.</summary>
    public async Task<RunningProcess> StartConnectorAsync(string name, int silo = 0)
    {
        await RelayAsync("connector", "create", "--name", name);
        return await StartAgentAsync(name, await CreateTokenAsync(name), silo);
    }

    /// <summary>As <see cref="StartConnectorAsync"/>, but the agent chooses among the silos of its token, measuring every second.</summary>
    public async Task<RunningProcess> StartRoamingConnectorAsync(string name, string region)
    {
        await RelayAsync("connector", "create", "--name", name);
        var agent = RunningProcess.Start($"connector {name}", RelayPrograms.Cli, ["connector", "start"], new Dictionary<string, string?>
        {
            ["RELAY_TOKEN_FILE"] = await CreateTokenAsync(name),
            ["RELAY_REGION"] = region,
            ["RELAY_CONNECTOR_MEASURE_SECONDS"] = "1",
            ["HOME"] = Folder,
        });
        _processes.Add(agent);
        await agent.WaitForMessageAsync("connected to relay");
        return agent;
    }

    /// <summary>Creates a token and gives the file it is in.</summary>
    public async Task<string> CreateTokenAsync(string connector)
    {
        var file = Path.Combine(Folder, $"{connector}-{Guid.NewGuid():N}.token");
        await RelayAsync("connector", "token", "create", "--connector", connector, "--out", file);
        return file;
    }

    public async Task<RunningProcess> StartAgentAsync(string name, string tokenFile, int silo = 0)
    {
        var agent = StartAgent(name, tokenFile, silo);
        await agent.WaitForMessageAsync("connected to relay");
        return agent;
    }

    /// <summary>Starts an agent and does not wait: for those that are to be refused.</summary>
    public RunningProcess StartAgent(string name, string tokenFile, int silo = 0) => StartAgent(name, tokenFile, [silo]);

    /// <summary>Starts an agent that knows several silos and logs every stream; does not wait.</summary>
    public RunningProcess StartAgent(string name, string tokenFile, int[] silos)
    {
        var agent = Launch($"connector {name}", RelayPrograms.Cli, ["connector", "start"], new Dictionary<string, string?>
        {
            ["RELAY_TOKEN_FILE"] = tokenFile,
            ["RELAY_CONNECTOR_SERVER"] = string.Join(',', silos.Select(s => Silos[s].Connectors)),
            ["RELAY_LOG_LEVEL"] = "debug",
            ["HOME"] = Folder,
        });
        _processes.Add(agent);
        return agent;
    }

    /// <summary>What plain ssh, scp, sftp, rsync and git take with <c>-F</c>; made once by <c>relay client ssh-config</c>.</summary>
    public async Task<string> SshConfigAsync()
    {
        var file = Path.Combine(Folder, "ssh_config");
        if (!File.Exists(file))
            await File.WriteAllTextAsync(file, await RelayAsync("client", "ssh-config"));
        return file;
    }

    /// <summary>Plain <c>ssh -F … HOST …</c> with bytes on stdin.</summary>
    public async Task<CommandResult> SshAsync(string host, string command, byte[]? stdin = null, params string[] options) =>
        await Command.RunAsync("ssh", ["-F", await SshConfigAsync(), "-o", "BatchMode=yes", .. options, host, .. command.Length == 0 ? Array.Empty<string>() : [command]], CliEnvironment(Silos[0]), stdin);

    /// <summary>The environment in which the CLI, and any program that calls it as ProxyCommand, is this grid's administrator.</summary>
    public Dictionary<string, string?> CliEnvironment(Silo silo) => new()
    {
        ["RELAY_HOME"] = Home,
        ["RELAY_API"] = silo.Api,
        ["HOME"] = Folder,
    };

    /// <summary>The last lines of everybody, for the message of a failed test.</summary>
    public string Logs() => string.Join("\n", _processes.Select(p => $"--- {p.Name}{(p.HasExited ? " (ended)" : "")}\n{string.Join('\n', p.Output.Split('\n').TakeLast(12))}"));

    /// <summary>Everything that everybody printed.</summary>
    public string AllOutput() => string.Join('\n', _processes.Select(p => p.Output));

    /// <summary>The database as SQL text, as a thief of a backup would have it.</summary>
    public Task<string> DumpAsync() => _database!.DumpAsync(CancellationToken.None);

    public async Task<Silo> StartSiloAsync()
    {
        var silo = await StartSiloAsync(Silos.Count, "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0");
        Silos.Add(silo);
        return silo;
    }

    /// <summary>Starts a silo that has ended again, under its name and addresses.</summary>
    public async Task<Silo> RestartSiloAsync(int index)
    {
        var former = Silos[index];
        return Silos[index] = await StartSiloAsync(index, new Uri(former.Api).Authority, former.Grid, former.Connectors);
    }

    private async Task<Silo> StartSiloAsync(int index, string apiListen, string gridListen, string connectorListen)
    {
        var process = Launch($"silo {index}", RelayPrograms.Silo, [], new Dictionary<string, string?>
        {
            ["RELAY_DATABASE"] = Database,
            ["RELAY_STATE_DIR"] = Path.Combine(Folder, "state"),
            ["RELAY_BOOTSTRAP_FILE"] = index == 0 ? Path.Combine(Folder, "admin.password") : null,
            ["RELAY_NAME"] = $"silo-{index}",
            ["RELAY_REGION"] = Regions ? $"r{index}" : null,
            ["RELAY_API_LISTEN"] = apiListen,
            ["RELAY_GRID_LISTEN"] = gridListen,
            ["RELAY_CONNECTOR_LISTEN"] = connectorListen,
            // For a silo that was built on Orleans.
            ["RELAY_ORLEANS_PORT"] = "0",
            ["RELAY_DRAIN_SECONDS"] = DrainSeconds.ToString(System.Globalization.CultureInfo.InvariantCulture),
        }, SiloSettings);
        _processes.Add(process);
        var ready = await process.WaitForMessageAsync("silo ready");
        string Field(string name) => ready.GetProperty(name).GetString()!;
        var api = Field("api");
        return new Silo(process, api.StartsWith("http", StringComparison.Ordinal) ? api : $"http://{api}", Field("grid"), Field("connectors"));
    }

    /// <summary>Starts the gateway that has ended again, under its name; users dial another port.</summary>
    public async Task RestartGatewayAsync() => Gateway = await StartGatewayAsync("gateway-0", Silos[0], Regions ? "r0" : null);

    private RunningProcess Launch(
        string name, string program, IReadOnlyList<string> arguments, Dictionary<string, string?> environment, IReadOnlyDictionary<string, string?>? more = null, NetworkNamespace? network = null)
    {
        foreach (var (variable, value) in more ?? new Dictionary<string, string?>())
            environment[variable] = value;
        return (network ?? Network)?.Start(name, program, arguments, environment) ?? RunningProcess.Start(name, program, arguments, environment);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var process in Enumerable.Reverse(_processes))
            await process.DisposeAsync();
        if (_database is not null)
            await _database.DisposeAsync();
        Directory.Delete(Folder, recursive: true);
    }

    /// <summary>Starts a further gateway that the caller disposes.</summary>
    /// <param name="network">Where it runs; null: with the others.</param>
    public async Task<GatewayProcess> StartGatewayAsync(string name, Silo silo, string? region = null, NetworkNamespace? network = null)
    {
        var process = Launch(name, RelayPrograms.Gateway, [], new Dictionary<string, string?>
        {
            ["RELAY_STATE_DIR"] = Path.Combine(Folder, name),
            ["RELAY_GATEWAY_TOKEN_FILE"] = Path.Combine(Folder, "state", "gateway.token"),
            ["RELAY_GATEWAY_NAME"] = name,
            ["RELAY_SSH_LISTEN"] = "127.0.0.1:0",
            ["RELAY_SILOS"] = silo.Grid,
            ["RELAY_REGION"] = region,
            ["RELAY_GATEWAY_DRAIN_SECONDS"] = DrainSeconds.ToString(System.Globalization.CultureInfo.InvariantCulture),
        }, GatewaySettings, network);
        _processes.Add(process);
        return new GatewayProcess(process, (await process.WaitForMessageAsync("gateway ready")).GetProperty("ssh").GetString()!);
    }
}

/// <summary>A gateway process and the "host:port" users dial.</summary>
public sealed record GatewayProcess(RunningProcess Process, string SshAddress) : IAsyncDisposable
{
    public ValueTask DisposeAsync() => Process.DisposeAsync();
}
