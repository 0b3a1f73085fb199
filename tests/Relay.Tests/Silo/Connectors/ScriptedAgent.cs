using System.Net.Security;
using Microsoft.Extensions.Logging.Abstractions;
using Relay.Connector.Targets;
using Relay.Connector.Tunnel;
using Relay.Protocol.Grid;
using Relay.Protocol.Tunnel;

namespace Relay.Tests.Silo.Connectors;

/// <summary>An agent that a test steps: dials, attaches as whom the test says, and serves only when told.</summary>
internal sealed class ScriptedAgent : IAsyncDisposable
{
    private TunnelServer? _server;

    private ScriptedAgent(SslStream stream, AttachResponse answer)
    {
        Stream = stream;
        Answer = answer;
    }

    /// <summary>The TLS stream, just after the answer.</summary>
    public SslStream Stream { get; }

    public AttachResponse Answer { get; }

    /// <summary>Dials and does TLS, nothing more.</summary>
    public static async Task<SslStream> DialAsync(ConnectorGrid grid, TestSilo silo)
    {
        var dialler = new SiloDialler(GridCertificates.AuthorityPin(grid.Authorities.GridCa), TimeSpan.FromSeconds(30), TimeProvider.System);
        return (await dialler.DialAsync(silo.ConnectorAddress, TestContext.Current.CancellationToken)).Stream;
    }

    public static async Task<ScriptedAgent> AttachAsync(ConnectorGrid grid, TestSilo silo, string token, Guid instance, long highestEpoch = 0, int protocol = TunnelWire.ProtocolVersion)
    {
        var stream = await DialAsync(grid, silo);
        var request = new AttachRequest(protocol, token, instance, highestEpoch, "test", "host", "os");
        await AttachPreamble.WriteAsync(stream, request, TunnelJson.Default.AttachRequest, TestContext.Current.CancellationToken);
        return new ScriptedAgent(stream, await AttachPreamble.ReadAsync(stream, TunnelJson.Default.AttachResponse, TestContext.Current.CancellationToken));
    }

    /// <summary>Serves the tunnel; without this the agent is as good as dead.</summary>
    public async Task ServeAsync()
    {
        _server = new TunnelServer(
            new TunnelRoutes(new EpochGate(), new BootClock(TimeProvider.System), new TargetDialler(TimeSpan.FromSeconds(5), TimeProvider.System), null, TimeProvider.System, NullLoggerFactory.Instance), NullLoggerFactory.Instance);
        await _server.StartAsync(TestContext.Current.CancellationToken);
        _server.Serve(new DialledConnection(Stream, null, new Attachment("test", Answer)));
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _server, null) is { } server)
            await server.DisposeAsync();
        await Stream.DisposeAsync();
    }
}
