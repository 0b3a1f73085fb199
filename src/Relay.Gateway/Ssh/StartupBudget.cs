using System.Net;
using System.Net.Sockets;

namespace Relay.Gateway.Ssh;

/// <summary>
/// Bounds the connections that have not logged in yet: per address (IPv6: per /64) or device, and in all. When full, the oldest silent
/// connection makes room, so that neither a flood nor a crowd behind one address locks others out (L29).
/// Safe for concurrent use.
/// </summary>
/// <param name="perAddress">At least 1.</param>
/// <param name="total">At least 1.</param>
internal sealed class StartupBudget(int perAddress, int total)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<(IPAddress Network, Guid Device), LinkedList<Ticket>> _bySource = [];
    private readonly LinkedList<Ticket> _all = [];

    /// <summary>Connections under way to a login.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _all.Count;
            }
        }
    }

    /// <summary>Admits a connection, if need be by cancelling the oldest of its address, then the oldest of all.</summary>
    /// <param name="evict">Cancels this connection's login when a newer one needs its place. Must not throw; called without the lock.</param>
    public Ticket Enter(IPAddress address, Action evict) => Enter(new Ticket(this, (Network(address), Guid.Empty), evict));

    /// <summary>As above for a device, wherever it is: many share an address.</summary>
    public Ticket Enter(Guid device, Action evict) => Enter(new Ticket(this, (IPAddress.None, device), evict));

    private Ticket Enter(Ticket ticket)
    {
        Ticket? first = null;
        Ticket? second = null;
        lock (_lock)
        {
            if (_bySource.TryGetValue(ticket.Source, out var mine) && mine.Count >= perAddress)
            {
                first = mine.First!.Value;
                Remove(first);
            }

            if (_all.Count >= total)
            {
                second = _all.First!.Value;
                Remove(second);
            }

            if (!_bySource.TryGetValue(ticket.Source, out mine))
            {
                _bySource.Add(ticket.Source, mine = []);
            }

            ticket.InSource = mine.AddLast(ticket);
            ticket.InAll = _all.AddLast(ticket);
        }

        first?.Evict();
        second?.Evict();
        return ticket;
    }

    private static IPAddress Network(IPAddress address)
    {
        if (address.IsIPv4MappedToIPv6)
        {
            return address.MapToIPv4();
        }

        if (address.AddressFamily != AddressFamily.InterNetworkV6)
        {
            return address;
        }

        Span<byte> bytes = stackalloc byte[16];
        address.TryWriteBytes(bytes, out _);
        bytes[8..].Clear();
        return new IPAddress(bytes);
    }

    private void Remove(Ticket ticket)
    {
        if (ticket.InSource is null)
        {
            return;
        }

        var mine = ticket.InSource.List!;
        mine.Remove(ticket.InSource);
        _all.Remove(ticket.InAll!);
        (ticket.InSource, ticket.InAll) = (null, null);
        if (mine.Count == 0)
        {
            _bySource.Remove(ticket.Source);
        }
    }

    /// <summary>One connection's place; disposing it gives the place back (after login, or when the connection is over).</summary>
    internal sealed class Ticket(StartupBudget budget, (IPAddress Network, Guid Device) source, Action evict) : IDisposable
    {
        internal (IPAddress Network, Guid Device) Source { get; } = source;

        internal LinkedListNode<Ticket>? InSource { get; set; }

        internal LinkedListNode<Ticket>? InAll { get; set; }

        internal void Evict() => evict();

        public void Dispose()
        {
            lock (budget._lock)
            {
                budget.Remove(this);
            }
        }
    }
}
