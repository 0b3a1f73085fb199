using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace Relay.Silo.Devices;

/// <summary>
/// The addresses inside the tunnel: a device's, a socket's and the gateways' own are places in these ranges, the same place in the one of
/// IPv4 and the one of IPv6. Immutable.
/// </summary>
/// <param name="Devices">One range of IPv4, one of IPv6, or both; at least 65536 addresses each.</param>
/// <param name="Resources">Likewise, for sockets.</param>
/// <param name="Suffix">What names of sockets end with, without a leading dot.</param>
internal sealed record DeviceNetwork(IReadOnlyList<IPNetwork> Devices, IReadOnlyList<IPNetwork> Resources, string Suffix)
{
    /// <summary>Place of the gateways' own address, where the resolver is: x.x.100.100 and ::6464.</summary>
    public const int OwnIndex = (100 << 8) | 100;

    public static readonly DeviceNetwork Default = new(
        [IPNetwork.Parse("100.124.0.0/16"), IPNetwork.Parse("fd62:6f72:6465:7230::/64")],
        [IPNetwork.Parse("100.126.0.0/16"), IPNetwork.Parse("fd62:6f72:6465:7231::/64")],
        "relay");

    /// <summary>The gateways' own addresses, the same at each: they resolve names and report errors.</summary>
    public IReadOnlyList<IPAddress> Own { get; } = At(Devices, OwnIndex);

    /// <summary>The highest place that a device can have in every range.</summary>
    public int LastDeviceIndex { get; } = Devices.Min(Last);

    /// <summary>A device's addresses; one family less, or none, when the ranges were made smaller since.</summary>
    public IReadOnlyList<IPAddress> OfDevice(int index) => index == OwnIndex ? [] : At(Devices, index);

    /// <summary>A socket's addresses within its organization; the IPv4 range is full long before the IPv6 one.</summary>
    public IReadOnlyList<IPAddress> OfSocket(int index) => At(Resources, index);

    /// <summary>The same text for the same network, for people and to compare.</summary>
    public override string ToString() => $"devices {string.Join(',', Devices.Select(d => d.ToString()).Order(StringComparer.Ordinal))}, sockets {string.Join(',', Resources.Select(r => r.ToString()).Order(StringComparer.Ordinal))}, names *.{Suffix}";

    private static IPAddress[] At(IReadOnlyList<IPNetwork> ranges, int index) => [.. ranges.Where(r => index > 0 && index <= Last(r)).Select(r => At(r, index))];

    // The last IPv4 address of a range is a broadcast to some systems. More than 2^31 places nobody needs.
    private static int Last(IPNetwork range)
    {
        var bits = (range.BaseAddress.AddressFamily == AddressFamily.InterNetwork ? 32 : 128) - range.PrefixLength;
        return bits > 30 ? int.MaxValue : (1 << bits) - 2;
    }

    private static IPAddress At(IPNetwork range, int index)
    {
        // The places are in the last four bytes: what of them belongs to the base stays.
        var bytes = range.BaseAddress.GetAddressBytes();
        var low = bytes.AsSpan(bytes.Length - sizeof(uint));
        BinaryPrimitives.WriteUInt32BigEndian(low, BinaryPrimitives.ReadUInt32BigEndian(low) + (uint)index);
        return new IPAddress(bytes);
    }
}
