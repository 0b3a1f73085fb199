using System.Collections.Concurrent;

namespace Relay.Gateway.WireGuard.Udp;

/// <summary>
/// Our outer addresses that datagrams came to, as the numbers that <see cref="Relay.Protocol.WireGuard.WireGuardEndpoint.Path"/> keeps: an
/// answer leaves from the address that was asked, also on a machine with several, or with one that several machines have. Bounded. Safe for concurrent use.
/// </summary>
internal sealed class LocalAddresses
{
    /// <summary>The number that leaves the choice to the kernel.</summary>
    public const int Any = 0;

    private const int Most = 1024;

    private readonly ConcurrentDictionary<UInt128, int> _numbers = new();
    private readonly UInt128[] _addresses = new UInt128[Most];
    private int _last;

    /// <summary>The number of an address, given as 16 bytes in IPv6's form; <see cref="Any"/> when there are too many.</summary>
    public int NumberOf(UInt128 address)
    {
        if (_numbers.TryGetValue(address, out int number)) return number;
        lock (_numbers)
        {
            if (_numbers.TryGetValue(address, out number)) return number;
            if (_last == Most - 1) return Any;
            number = ++_last;
            _addresses[number] = address;
            // Seen by others only now, when the address is in its place.
            _numbers[address] = number;
            return number;
        }
    }

    /// <summary>The address of a number that <see cref="NumberOf"/> gave; false for <see cref="Any"/>.</summary>
    public bool TryGet(int number, out UInt128 address)
    {
        address = number is > Any and < Most ? _addresses[number] : default;
        return address != default;
    }
}
