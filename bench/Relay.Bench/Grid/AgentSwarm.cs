using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging.Abstractions;
using Relay.Connector.Configuration;
using Relay.Connector.Targets;
using Relay.Connector.Tunnel;
using Relay.Protocol.Tunnel;

namespace Relay.Bench.Grid;

/// <summary>
/// Agents by the thousand in one process: each has a connector, a token and a real tunnel of its own, and they share the servers
/// behind the tunnels. They keep what they are given and serve no streams.
/// </summary>
internal sealed class AgentSwarm : IAsyncDisposable
{
    private const int AtOnce = 64;

    // A server takes a few new connections at a time, as an agent has but one.
    private const int Servers = 32;
    private readonly LiveGrid _live;
    private readonly BootClock _clock = new(TimeProvider.System);
    private readonly TunnelServer[] _servers;
    private readonly List<ConnectorOptions> _connectors = [];
    private readonly ConcurrentBag<DialledConnection> _attached = [];
    private int _next;

    private AgentSwarm(LiveGrid live)
    {
        _live = live;
        _servers = [.. Enumerable.Range(0, Servers).Select(_ => new TunnelServer(new TunnelRoutes(new EpochGate(), _clock, new TargetDialler(TunnelWire.DialDeadline, TimeProvider.System), null, TimeProvider.System, NullLoggerFactory.Instance), NullLoggerFactory.Instance))];
    }

    public int Attached => _attached.Count;

    /// <summary>Makes that many connectors with a token each, through the API.</summary>
    public static async Task<AgentSwarm> CreateAsync(LiveGrid live, int connectors, CancellationToken cancellationToken)
    {
        var swarm = new AgentSwarm(live);
        foreach (var server in swarm._servers)
            await server.StartAsync(cancellationToken);
        var options = new ConcurrentBag<ConnectorOptions>();
        await Parallel.ForEachAsync(Enumerable.Range(0, connectors), new ParallelOptions { MaxDegreeOfParallelism = 8, CancellationToken = cancellationToken }, async (i, _) =>
        {
            await live.SendAsync(HttpMethod.Post, "/connectors", new JsonObject { ["name"] = $"agent-{i}" }, prefer: "wait=0");
            var token = await live.SendAsync(HttpMethod.Post, $"/connectors/agent-{i}/tokens", new JsonObject(), prefer: "wait=0");
            options.Add(new ConnectorOptions { Token = token["token"]!.GetValue<string>(), TokenSource = "bench", Servers = [live.Grid.Silos[0].Connectors] });
        });
        swarm._connectors.AddRange(options);
        return swarm;
    }

    /// <summary>Attaches those that are not yet, until so many are.</summary>
    public Task AttachAsync(int total, CancellationToken cancellationToken) => Parallel.ForEachAsync(
        _connectors[Attached..total],
        new ParallelOptions { MaxDegreeOfParallelism = AtOnce, CancellationToken = cancellationToken },
        async (connector, stop) => await AttachAsync(connector, stop));

    /// <summary>Each says that it goes, as an agent that is stopped does.</summary>
    public async Task DetachAsync()
    {
        foreach (var connection in _attached)
        {
            connection.Attachment.Retire();
            connection.RequestClose();
        }

        await Task.WhenAll(_attached.Select(c => c.Completed));
        _attached.Clear();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var connection in _attached)
            connection.Abort(new Microsoft.AspNetCore.Connections.ConnectionAbortedException("over"));
        foreach (var server in _servers)
            await server.DisposeAsync();
    }

    private async Task AttachAsync(ConnectorOptions options, CancellationToken cancellationToken)
    {
        var dialler = new SiloDialler(ConnectorToken.Read(options).AuthorityPin, TimeSpan.FromSeconds(20), TimeProvider.System);
        var silo = await dialler.DialAsync(options.Servers[0], cancellationToken);
        await AttachPreamble.WriteAsync(silo.Stream, AgentFacts.Request(options.Token, Guid.NewGuid(), 0, null, _clock, 1), TunnelJson.Default.AttachRequest, cancellationToken);
        var answer = await AttachPreamble.ReadAsync(silo.Stream, TunnelJson.Default.AttachResponse, cancellationToken);
        if (!answer.Accepted)
            throw new InvalidOperationException($"An agent was refused: {answer.Message}");
        var connection = new DialledConnection(silo.Stream, silo.Remote, new Attachment(silo.Server, answer));
        _servers[(uint)Interlocked.Increment(ref _next) % Servers].Serve(connection);
        _attached.Add(connection);
    }
}
