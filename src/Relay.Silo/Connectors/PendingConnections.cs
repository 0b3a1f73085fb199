using System.Net;
using System.Net.Sockets;

namespace Relay.Silo.Connectors;

/// <summary>
/// Connections that have not proved who they are yet, bounded per address and in all. When a bound is hit the connection that has
/// been silent longest is closed, never the newcomer: silent clients cannot keep a good one out (L29). Safe for concurrent use.
/// </summary>
internal sealed class PendingConnections
{
    private readonly Lock _lock = new();
    private readonly Dictionary<IPAddress, LinkedList<Pending>> _byAddress = [];
    private readonly LinkedList<Pending> _all = [];
    private readonly int _perAddress;
    private readonly int _total;

    public PendingConnections(int perAddress, int total)
    {
        _perAddress = perAddress;
        _total = total;
    }

    public int Count
    {
        get
        {
            lock (_lock)
                return _all.Count;
        }
    }

    /// <summary>Counts a connection until the result is disposed; may close an older one.</summary>
    public Pending Add(Socket socket) => Add((socket.RemoteEndPoint as IPEndPoint)?.Address, socket.Dispose);

    /// <summary>As above.</summary>
    /// <param name="evict">Closes the connection; called at most once, from the one that takes its place.</param>
    public Pending Add(IPAddress? address, Action evict)
    {
        var pending = new Pending(this, evict, Group(address ?? IPAddress.None));
        Pending? evicted = null;
        lock (_lock)
        {
            if (!_byAddress.TryGetValue(pending.Address, out var same))
                _byAddress[pending.Address] = same = [];
            if (same.Count >= _perAddress)
                evicted = same.First!.Value;
            else if (_all.Count >= _total)
                evicted = _all.First!.Value;
            if (evicted is not null)
                Unlink(evicted);

            // Unlinking the last one of an address drops its list.
            if (!_byAddress.TryGetValue(pending.Address, out same))
                _byAddress[pending.Address] = same = [];
            pending.InAddress = same.AddLast(pending);
            pending.InAll = _all.AddLast(pending);
        }

        evicted?.Evict();
        return pending;
    }

    private void Remove(Pending pending)
    {
        lock (_lock)
            Unlink(pending);
    }

    private void Unlink(Pending pending)
    {
        if (pending.InAll is null)
            return;
        _all.Remove(pending.InAll);
        var same = _byAddress[pending.Address];
        same.Remove(pending.InAddress!);
        if (same.Count == 0)
            _byAddress.Remove(pending.Address);
        pending.InAll = pending.InAddress = null;
    }

    // One customer has a /64 of IPv6: counting single addresses would bound nothing.
    private static IPAddress Group(IPAddress address)
    {
        if (address.IsIPv4MappedToIPv6)
            return address.MapToIPv4();
        if (address.AddressFamily != AddressFamily.InterNetworkV6)
            return address;
        var bytes = address.GetAddressBytes();
        bytes.AsSpan(8).Clear();
        return new IPAddress(bytes);
    }

    /// <summary>One counted connection.</summary>
    internal sealed class Pending(PendingConnections owner, Action evict, IPAddress address) : IDisposable
    {
        public IPAddress Address { get; } = address;

        public LinkedListNode<Pending>? InAddress { get; set; }

        public LinkedListNode<Pending>? InAll { get; set; }

        public void Evict() => evict();

        public void Dispose() => owner.Remove(this);
    }
}
