using System.Collections.Concurrent;
using Relay.Policy;
using Relay.Protocol.Grid;
using Relay.Protocol.Tunnel;
using Relay.Silo.Hosting;

namespace Relay.Silo.Connectors;

/// <inheritdoc cref="IStreamRouter"/>
internal sealed partial class StreamRouter : IStreamRouter
{
    // A connector that changes its silo is there in well under a second, one whose silo has died within two.
    private static readonly TimeSpan MovePatience = TimeSpan.FromSeconds(8);
    private static readonly TimeSpan MovePause = TimeSpan.FromMilliseconds(30);
    private static readonly TimeSpan Lately = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan WatchAfter = TimeSpan.FromSeconds(1);

    private readonly ConnectorTunnels _tunnels;
    private readonly PathHealth _health;
    private readonly SocketLoads _loads;
    private readonly IConnectorDirectory _directory;
    private readonly ISiloHttp _silos;
    private readonly SiloIdentity _self;
    private readonly TimeProvider _time;
    private readonly ILogger<StreamRouter> _logger;
    private readonly ConcurrentDictionary<Guid, StrongCount> _remoteStreams = new();
    private readonly ConcurrentDictionary<Guid, long> _known = new();

    public StreamRouter(ConnectorTunnels tunnels, PathHealth health, SocketLoads loads, IConnectorDirectory directory, ISiloHttp silos, SiloIdentity self, TimeProvider time, ILogger<StreamRouter> logger)
    {
        _tunnels = tunnels;
        _health = health;
        _loads = loads;
        _directory = directory;
        _silos = silos;
        _self = self;
        _time = time;
        _logger = logger;
    }

    /// <summary>A path that hangs must not cost a session when there is another one.</summary>
    public TimeSpan FirstPathsDeadline { get; set; } = TimeSpan.FromSeconds(2);

    public async ValueTask<RoutedStream> OpenAsync(AccessGrant grant, Guid sessionId, ConnectorTarget target, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(grant);
        if (grant.SocketId != target.SocketId)
            throw new ArgumentException("The grant is for another socket.", nameof(grant));
        if (target.Connectors.Count == 0)
            throw new StreamOpenException(StreamOpenError.NotAttached, "the socket has no connector");

        StreamOpenException? last = null;
        var begun = _time.GetTimestamp();
        var paths = await FindPathsAsync(target, fresh: false, cancellationToken);
        for (var round = 1; ; round++)
        {
            var moving = paths.Count == 0 && target.Connectors.Any(c => WasHereLately(c.Id));
            for (var i = 0; i < paths.Count; i++)
            {
                var path = paths[i];
                try
                {
                    var deadline = i < paths.Count - 1 ? FirstPathsDeadline : TunnelWire.OpenDeadline;
                    var routed = target.HasChoice
                        ? await OpenCountedAsync(path, sessionId, target.SocketId, deadline, cancellationToken)
                        : await OpenAsync(path, sessionId, path.Target, deadline, cancellationToken);
                    _health.Opened(path.Connector.Id, path.Target);
                    return routed;
                }
                catch (StreamOpenException failed)
                {
                    var e = Explain(failed, path.Target);
                    _health.Failed(path.Connector.Id, path.Target, e);
                    LogPathFailed(sessionId, path.Connector.Name, path.Lease?.Silo ?? _self.Address, e.Error.ToWire(), e.Message);
                    last = new StreamOpenException(e.Error, $"connector {path.Connector.Name}: {e.Message}", e);

                    // With a cause of its own it is no refusal: the connection to the agent, or to the silo that has it, is over.
                    moving |= e.Error is StreamOpenError.StaleEpoch or StreamOpenError.NotAttached || e is { Error: StreamOpenError.Failed, InnerException: not null };
                }
            }

            // What was known of the connectors' places was old: once more with what the table says now, and while they move.
            if (!moving || _time.GetElapsedTime(begun) >= MovePatience)
                break;
            if (round > 1)
                await Task.Delay(MovePause * Math.Min(round, 5), _time, cancellationToken);
            paths = await FindPathsAsync(target, fresh: true, cancellationToken);
        }

        throw last ?? new StreamOpenException(StreamOpenError.NotAttached, target.Connectors.Count == 1
            ? $"connector {target.Connectors[0].Name} is not connected"
            : $"none of the socket's connectors is connected: {string.Join(", ", target.Connectors.Select(c => c.Name))}");
    }

    /// <summary>An agent, or a silo on the way, of a version without datagrams only says that it does not understand.</summary>
    internal static StreamOpenException Explain(StreamOpenException failed, StreamTarget target) => failed.NotUnderstood && target.IsUdp
        ? new StreamOpenException(StreamOpenError.Unsupported, "it, or the silo it is connected to, is of a version that does not carry UDP: update it")
        : failed;

    private async ValueTask<RoutedStream> OpenCountedAsync(Path path, Guid session, Guid socket, TimeSpan deadline, CancellationToken cancellationToken)
    {
        // Counted from here on, like the connector's: a burst is spread before the first of it has arrived.
        _loads.Opened(socket, path.Connector.Id, path.Target);
        try
        {
            var routed = await OpenAsync(path, session, path.Target, deadline, cancellationToken);
            var stream = (DuplexHttpStream)routed.Stream;
            stream.Disposed += () => _loads.Closed(socket, path.Connector.Id, path.Target);
            return routed;
        }
        catch
        {
            _loads.Closed(socket, path.Connector.Id, path.Target);
            throw;
        }
    }

    private async ValueTask<RoutedStream> OpenAsync(Path path, Guid session, StreamTarget target, TimeSpan deadline, CancellationToken cancellationToken)
    {
        if (path.Tunnel is { } tunnel)
            return new RoutedStream(await tunnel.OpenAsync(session, target, deadline, cancellationToken), path.Connector.Id, path.Connector.Name, tunnel.Connector.TokenId, target, _self.Address, Hops: 1);

        var lease = path.Lease!;
        var request = new HttpRequestMessage(HttpMethod.Post, $"https://{lease.Silo}{GridRoutes.ConnectorStream(path.Connector.Id)}");
        StreamHeaders.Write(request, session, lease.Epoch, target);
        var count = _remoteStreams.GetOrAdd(path.Connector.Id, static _ => new StrongCount());
        count.Increment();
        try
        {
            var stream = await OpenUnlessMovedAsync(lease, request, deadline, cancellationToken);
            stream.Disposed = count.Decrement;
            return new RoutedStream(stream, path.Connector.Id, path.Connector.Name, StreamHeaders.Token(stream.Response), target, lease.Silo, Hops: 2);
        }
        catch
        {
            count.Decrement();
            throw;
        }
    }

    /// <summary>Gives up when the connector is meanwhile attached elsewhere: the silo that is waited for stands still.</summary>
    private async Task<DuplexHttpStream> OpenUnlessMovedAsync(ConnectorLease lease, HttpRequestMessage request, TimeSpan deadline, CancellationToken cancellationToken)
    {
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var moved = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var watching = WatchAsync(lease, moved, over.Token);
        try
        {
            return await DuplexHttpStream.OpenAsync(_silos.For(lease.Silo), request, deadline, _time, moved.Token);
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw new StreamOpenException(StreamOpenError.StaleEpoch, "the connector has moved to another silo meanwhile", e);
        }
        finally
        {
            await over.CancelAsync();
            await watching;
        }
    }

    private async Task WatchAsync(ConnectorLease lease, CancellationTokenSource moved, CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                await Task.Delay(WatchAfter, _time, cancellationToken);
                if ((await _directory.LocateAsync([lease.ConnectorId], fresh: true, cancellationToken)).Any(l => l.Epoch > lease.Epoch))
                    await moved.CancelAsync();
            }
        }
        catch (Exception e) when (e is OperationCanceledException or IOException)
        {
            // It is open, or nobody can tell where the connector is.
        }
    }

    private bool WasHereLately(Guid connectorId) => _known.TryGetValue(connectorId, out var at) && _time.GetElapsedTime(at) < Lately;

    /// <summary>Every attached connector to every host, best first.</summary>
    private async ValueTask<IReadOnlyList<Path>> FindPathsAsync(ConnectorTarget target, bool fresh, CancellationToken cancellationToken)
    {
        var ways = new List<Way>();
        var elsewhere = new List<ConnectorReference>();
        foreach (var connector in target.Connectors)
        {
            if (_tunnels.Find(connector.Id) is { } tunnel)
                ways.Add(new Way(connector, tunnel, null, tunnel.OpenStreams));
            else
                elsewhere.Add(connector);
        }

        if (elsewhere.Count > 0)
        {
            try
            {
                foreach (var lease in await _directory.LocateAsync([.. elsewhere.Select(c => c.Id)], fresh, cancellationToken))
                {
                    // Our own lease without a tunnel, or an older one than we have heard of: it is just coming, or has just gone.
                    // Our address alone: of an earlier start of this silo.
                    if (lease.SiloIncarnation == _self.Incarnation || lease.Epoch < _tunnels.HighestEpoch(lease.ConnectorId))
                        _known[lease.ConnectorId] = _time.GetTimestamp();
                    else if (lease.Silo != _self.Address)
                        ways.Add(new Way(elsewhere.First(c => c.Id == lease.ConnectorId), null, lease, _remoteStreams.GetValueOrDefault(lease.ConnectorId)?.Value ?? 0));
                }
            }
            catch (IOException e) when (ways.Count > 0)
            {
                LogDirectoryFailed(e.Message);
            }
            catch (IOException e)
            {
                throw new StreamOpenException(StreamOpenError.Failed, e.Message, e);
            }
        }

        foreach (var path in ways)
            _known[path.Connector.Id] = _time.GetTimestamp();
        // A tunnel that ends here counts the streams of all silos; of one elsewhere only ours are known here.
        var load = target.HasChoice && ways.Count > 0 ? await _loads.CountAsync(target.SocketId, cancellationToken) : new SocketStreams([], []);
        return PathChoice.Order(
            ways.SelectMany(w => target.Targets.Select(t => new Path(w.Connector, w.Tunnel, w.Lease, t, w.Streams + (w.Tunnel is null ? load.OfOthersThrough(w.Connector.Id) : 0)))),
            p => new PathLoad(_health.IsHealthy(p.Connector.Id, p.Target), load.To(p.Target.Address), p.Streams, p.Tunnel is not null));
    }

    /// <summary>One way to a connector: through its tunnel here, or through the silo that holds it.</summary>
    private sealed record Way(ConnectorReference Connector, ConnectorTunnel? Tunnel, ConnectorLease? Lease, int Streams);

    /// <summary>A way to a connector, and a host behind it.</summary>
    private sealed record Path(ConnectorReference Connector, ConnectorTunnel? Tunnel, ConnectorLease? Lease, StreamTarget Target, int Streams)
    {
        public bool Equals(Path? other) => other is not null && other.Connector.Id == Connector.Id && other.Target == Target && other.Tunnel == Tunnel && other.Lease?.Epoch == Lease?.Epoch;

        public override int GetHashCode() => Connector.Id.GetHashCode();
    }

    private sealed class StrongCount
    {
        private int _value;

        public int Value => Volatile.Read(ref _value);

        public void Increment() => Interlocked.Increment(ref _value);

        public void Decrement() => Interlocked.Decrement(ref _value);
    }
}
