using System.Collections.Concurrent;
using System.Collections.Immutable;
using Orleans;
using Relay.Grains.Sockets;
using Relay.Protocol.Tunnel;
using Relay.Silo.Hosting;

namespace Relay.Silo.Connectors;

/// <summary>
/// The open streams of sockets that can be reached over several ways: this silo's, counted here, and the other silos', as the socket's
/// grain knows them. Without an answer of the grain this silo's own count. Safe for concurrent use.
/// </summary>
internal sealed partial class SocketLoads(IGrainFactory grains, SiloIdentity self, TimeProvider time, ILogger<SocketLoads> logger) : BackgroundService
{
    // What the others have is known this well; the grain hears no more often of a socket from one silo.
    private static readonly TimeSpan Fresh = TimeSpan.FromSeconds(1);

    private static readonly ParallelOptions SideBySide = new() { MaxDegreeOfParallelism = 16 };

    private readonly ConcurrentDictionary<Guid, Socket> _sockets = new();

    /// <summary>An opening waits so long for what is only of use to balance.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>A stream is being opened that way.</summary>
    public void Opened(Guid socket, Guid connector, StreamTarget target) => Count(socket, connector, target, 1);

    /// <summary>It is over, or was not opened.</summary>
    public void Closed(Guid socket, Guid connector, StreamTarget target) => Count(socket, connector, target, -1);

    /// <summary>What is known now, asking the grain first when that is old.</summary>
    public async ValueTask<SocketStreams> CountAsync(Guid socketId, CancellationToken cancellationToken)
    {
        var socket = _sockets.GetOrAdd(socketId, static _ => new Socket());
        if (socket.IsOlderThan(Fresh, time))
            await ReportAsync(socketId, socket).WaitAsync(Patience, time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        cancellationToken.ThrowIfCancellationRequested();
        return socket.Streams();
    }

    /// <summary>Tells the grains what they do not know yet, or have to be told again, and forgets sockets without streams.</summary>
    internal Task ReportDueAsync(CancellationToken cancellationToken) => Parallel.ForEachAsync(_sockets, SideBySide, async (entry, _) =>
    {
        var (id, socket) = entry;
        if ((socket.HasNews && socket.IsOlderThan(Fresh, time)) || socket.IsOlderThan(ISocketGrain.ReportEvery, time))
            await ReportAsync(id, socket).WaitAsync(cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (socket.TryRetire())
            _sockets.TryRemove(entry);
    });

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Fresh, time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
            await ReportDueAsync(stoppingToken);
    }

    private void Count(Guid id, Guid connector, StreamTarget target, int change)
    {
        while (!_sockets.GetOrAdd(id, static _ => new Socket()).TryCount(connector, target.Address, change))
        {
            // It was just forgotten.
        }
    }

    private Task ReportAsync(Guid id, Socket socket) => socket.AskOnce(async mine =>
    {
        try
        {
            return (await grains.GetGrain<ISocketGrain>(id.ToString("D")).ReportAsync(new SocketLoad(self.Incarnation, mine), CancellationToken.None)).Ways;
        }
        catch (Exception e)
        {
            LogNotReported(logger, id, e.Message);
            return null;
        }
    }, time);

    [LoggerMessage(4620, LogLevel.Debug, "the load of socket {SocketId} was not told to its grain: {Reason}")]
    private static partial void LogNotReported(ILogger logger, Guid socketId, string reason);

    private sealed class Socket
    {
        private readonly Lock _lock = new();
        private readonly Dictionary<(Guid Connector, string Target), int> _mine = [];
        private ImmutableArray<WayLoad> _others = [];
        private Task? _asking;
        private long? _askedAt;
        private bool _retired;

        /// <summary>Something was counted since the grain was told.</summary>
        public bool HasNews { get; private set; }

        /// <summary>True: nothing is open, and the grain knows; nothing is counted here any more.</summary>
        public bool TryRetire()
        {
            lock (_lock) return _retired |= _mine.Count == 0 && !HasNews && _asking is null;
        }

        public bool IsOlderThan(TimeSpan age, TimeProvider time)
        {
            lock (_lock) return _askedAt is not { } at || time.GetElapsedTime(at) >= age;
        }

        /// <summary>False: this was retired.</summary>
        public bool TryCount(Guid connector, string target, int change)
        {
            lock (_lock)
            {
                if (_retired)
                    return false;
                var streams = _mine.GetValueOrDefault((connector, target)) + change;
                if (streams == 0)
                    _mine.Remove((connector, target));
                else
                    _mine[(connector, target)] = streams;
                return HasNews = true;
            }
        }

        public SocketStreams Streams()
        {
            lock (_lock) return new SocketStreams([.. _mine.Select(m => new WayLoad(m.Key.Connector, m.Key.Target, m.Value))], _others);
        }

        /// <summary>One question at a time: who comes while it is under way waits for its answer.</summary>
        public Task AskOnce(Func<ImmutableArray<WayLoad>, Task<ImmutableArray<WayLoad>?>> ask, TimeProvider time)
        {
            lock (_lock)
            {
                if (_asking is not null)
                    return _asking;
                HasNews = false;
                _askedAt = time.GetTimestamp();
                return _asking = AskAsync(ask, [.. _mine.Select(m => new WayLoad(m.Key.Connector, m.Key.Target, m.Value))]);
            }
        }

        private async Task AskAsync(Func<ImmutableArray<WayLoad>, Task<ImmutableArray<WayLoad>?>> ask, ImmutableArray<WayLoad> mine)
        {
            // Not in the lock, whatever the grain's call does.
            await Task.Yield();
            var others = await ask(mine);
            lock (_lock)
            {
                _asking = null;
                if (others is { } known)
                    _others = known;
                else
                    HasNews = true;
            }
        }
    }
}

/// <summary>Open streams of one socket.</summary>
/// <param name="Mine">This silo's.</param>
/// <param name="Others">The other silos', as far as they are known.</param>
internal readonly record struct SocketStreams(IReadOnlyList<WayLoad> Mine, IReadOnlyList<WayLoad> Others)
{
    /// <summary>To a host, through whatever connector.</summary>
    public int To(string target) => Mine.Concat(Others).Where(w => w.Target == target).Sum(w => w.Streams);

    /// <summary>Through a connector, of other silos.</summary>
    public int OfOthersThrough(Guid connector) => Others.Where(w => w.ConnectorId == connector).Sum(w => w.Streams);
}
