using System.Net.Sockets;
using Relay.Protocol.Tunnel;

namespace Relay.Tests.Silo.Connectors;

/// <summary>One open stream from a silo's router to a target, over one or two silos, with a real agent.</summary>
internal sealed class OpenPath : IAsyncDisposable
{
    private readonly List<TestSilo> _silos = [];
    private TestAgent? _agent;
    private TcpTarget? _listener;

    public DuplexStream User { get; private set; } = null!;

    public Socket Target { get; private set; } = null!;

    public static async Task<OpenPath> CreateAsync(ConnectorGrid grid, int hops)
    {
        var path = new OpenPath();
        for (var i = 0; i < hops; i++)
            path._silos.Add(await TestSilo.StartAsync(grid, $"silo-{i}"));

        // The agent is on the last silo, the user on the first.
        var connector = await grid.CreateConnectorAsync(path._silos[^1]);
        path._agent = TestAgent.Start(connector.Token);
        await path._silos[^1].AttachedAsync(connector);
        path._listener = new TcpTarget();
        var accepted = path._listener.AcceptAsync();
        var routed = await path._silos[0].OpenAsync(path._listener.Target, connector);
        Assert.Equal(hops, routed.Hops);
        Assert.Equal(path._silos[^1].Identity.Address, routed.Silo);
        path.User = routed.Stream;
        path.Target = await accepted;
        return path;
    }

    /// <summary>One byte each way: the path stands.</summary>
    public async Task RoundTripAsync()
    {
        await User.WriteAsync(new byte[1], TestContext.Current.CancellationToken);
        Assert.Equal(1, await Target.ReceiveAsync(new byte[1], TestContext.Current.CancellationToken));
        await TcpTarget.SendAsync(Target, new byte[1]);
        Assert.Equal(1, await User.ReadAsync(new byte[1], TestContext.Current.CancellationToken));
    }

    public async ValueTask DisposeAsync()
    {
        await User.DisposeAsync();
        Target.Dispose();
        _listener?.Dispose();
        if (_agent is not null)
            await _agent.DisposeAsync();
        foreach (var silo in _silos)
            await silo.DisposeAsync();
    }
}
