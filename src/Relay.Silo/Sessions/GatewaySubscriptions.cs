using System.Threading.Channels;
using Relay.Protocol.Grid;

namespace Relay.Silo.Sessions;

/// <summary>
/// The control streams of the gateways on this silo. A gateway that falls behind loses its stream and subscribes anew with the
/// sessions it has, so nothing is lost by the bound. Safe for concurrent use.
/// </summary>
internal sealed class GatewaySubscriptions(TimeProvider time)
{
    /// <summary>How long a gateway may be without a control stream before its sessions end.</summary>
    public static readonly TimeSpan Grace = TimeSpan.FromSeconds(15);

    /// <summary><see cref="Grace"/>, unless somebody has more patience.</summary>
    public TimeSpan Patience { get; init; } = Grace;

    private const int QueueLength = 256;
    private readonly Lock _lock = new();
    private readonly Dictionary<string, Gateway> _gateways = new(StringComparer.Ordinal);

    /// <summary>A gateway has been without a control stream for <see cref="Patience"/>.</summary>
    public event Action<string>? Lost;

    /// <summary>A gateway may not act any more: its control streams end.</summary>
    public event Action<string>? Revoked;

    /// <summary>Opens a control stream; dispose ends it.</summary>
    public Subscription Subscribe(string gateway)
    {
        lock (_lock)
        {
            var entry = Entry(gateway);
            entry.Timer?.Dispose();
            entry.Timer = null;
            var subscription = new Subscription(this, gateway);
            entry.Subscriptions.Add(subscription);
            return subscription;
        }
    }

    /// <summary>A gateway acts without a control stream: it has <see cref="Patience"/> to open one.</summary>
    public void Expect(string gateway)
    {
        lock (_lock)
        {
            var entry = Entry(gateway);
            if (entry.Subscriptions.Count == 0 && entry.Timer is null)
                entry.Timer = StartTimer(gateway);
        }
    }

    /// <summary>True when it is the gateway's only stream.</summary>
    public bool IsOnly(Subscription subscription)
    {
        lock (_lock)
            return _gateways.TryGetValue(subscription.Gateway, out var entry) && entry.Subscriptions.Count == 1 && entry.Subscriptions.Contains(subscription);
    }

    public void Publish(string gateway, ControlMessage message)
    {
        lock (_lock)
        {
            if (!_gateways.TryGetValue(gateway, out var entry))
                return;
            foreach (var subscription in entry.Subscriptions)
                subscription.Offer(message);
        }
    }

    /// <summary>To every control stream there is.</summary>
    public void PublishToAll(ControlMessage message)
    {
        lock (_lock)
        {
            foreach (var subscription in _gateways.Values.SelectMany(g => g.Subscriptions))
                subscription.Offer(message);
        }
    }

    /// <summary>Raises <see cref="Revoked"/>, then ends the gateway's control streams.</summary>
    public void Revoke(string gateway)
    {
        Revoked?.Invoke(gateway);
        lock (_lock)
        {
            if (!_gateways.TryGetValue(gateway, out var entry))
                return;
            foreach (var subscription in entry.Subscriptions)
                subscription.Close();
        }
    }

    private Gateway Entry(string gateway)
    {
        if (!_gateways.TryGetValue(gateway, out var entry))
            _gateways[gateway] = entry = new Gateway();
        return entry;
    }

    private void Remove(Subscription subscription)
    {
        lock (_lock)
        {
            if (!_gateways.TryGetValue(subscription.Gateway, out var entry) || !entry.Subscriptions.Remove(subscription))
                return;
            if (entry.Subscriptions.Count == 0)
                entry.Timer ??= StartTimer(subscription.Gateway);
        }
    }

    private ITimer StartTimer(string gateway) => time.CreateTimer(_ => OnGraceOver(gateway), null, Patience, Timeout.InfiniteTimeSpan);

    private void OnGraceOver(string gateway)
    {
        lock (_lock)
        {
            if (!_gateways.TryGetValue(gateway, out var entry) || entry.Subscriptions.Count > 0)
                return;
            entry.Timer?.Dispose();
            _gateways.Remove(gateway);
        }

        Lost?.Invoke(gateway);
    }

    private sealed class Gateway
    {
        public HashSet<Subscription> Subscriptions { get; } = [];

        public ITimer? Timer { get; set; }
    }

    /// <summary>One control stream: a bounded queue that ends when it overflows.</summary>
    internal sealed class Subscription(GatewaySubscriptions owner, string gateway) : IDisposable
    {
        private readonly Channel<ControlMessage> _queue = Channel.CreateBounded<ControlMessage>(new BoundedChannelOptions(QueueLength) { SingleReader = true });

        public string Gateway => gateway;

        /// <summary>Completes when the queue overflowed: close the stream, the gateway subscribes again.</summary>
        public ChannelReader<ControlMessage> Messages => _queue.Reader;

        public void Offer(ControlMessage message)
        {
            if (!_queue.Writer.TryWrite(message))
                _queue.Writer.TryComplete();
        }

        /// <summary>What was offered before is still read.</summary>
        public void Close() => _queue.Writer.TryComplete();

        public void Dispose()
        {
            _queue.Writer.TryComplete();
            owner.Remove(this);
        }
    }
}
