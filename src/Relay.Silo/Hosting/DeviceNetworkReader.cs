using System.Net;
using Relay.Silo.Devices;

namespace Relay.Silo.Hosting;

/// <summary>Reads <see cref="DeviceNetwork"/> from the settings of its ranges and names.</summary>
internal static class DeviceNetworkReader
{
    public const string Devices = "wireguard-devices";
    public const string Resources = "wireguard-resources";
    public const string Suffix = "network-suffix";

    /// <param name="value">A setting; null when it is not given.</param>
    /// <param name="fail">Told of each mistake: the setting, and what would be right.</param>
    public static DeviceNetwork Read(Func<string, string?> value, Action<string, string> fail)
    {
        var network = new DeviceNetwork(Ranges(Devices, DeviceNetwork.Default.Devices), Ranges(Resources, DeviceNetwork.Default.Resources), Name());
        if (network.Devices.Any(d => network.Resources.Any(r => Overlap(d, r))))
            fail(Resources, "overlaps the range of devices: an address is either a device's or a socket's");
        return network;

        IReadOnlyList<IPNetwork> Ranges(string option, IReadOnlyList<IPNetwork> defaults)
        {
            if (value(option) is not { } text)
                return defaults;
            var ranges = new List<IPNetwork>();
            foreach (var part in text.Split(',', StringSplitOptions.TrimEntries))
            {
                // At least 2^16 addresses, so that the gateways' own (100.100 in the range) has a place; not all there are.
                if (IPNetwork.TryParse(part, out var range) && range.PrefixLength >= 8 && range.PrefixLength <= (range.BaseAddress.GetAddressBytes().Length * 8) - 16)
                    ranges.Add(range);
                else
                    fail(option, $"\"{part}\" must be a range of at least 65536 addresses, as {defaults[0]}");
            }

            if (ranges.GroupBy(r => r.BaseAddress.AddressFamily).Any(g => g.Count() > 1))
                fail(option, "must be at most one range of IPv4 and one of IPv6, with a comma between them");
            return ranges.Count == 0 ? defaults : ranges;
        }

        string Name()
        {
            if (value(Suffix) is not { } text)
                return DeviceNetwork.Default.Suffix;
            var name = text.ToLowerInvariant();
            // Room for a socket's and an organization's name before it: 253 characters are a name's limit.
            if (name.Length > 100 || name.Split('.').Any(l => l.Length is 0 or > 63 || l[0] == '-' || l[^1] == '-' || !l.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-')))
                fail(Suffix, "must be a DNS name of [a-z0-9-] and dots, at most 100 characters, without a dot at either end, as relay or vpn.example.com");
            return name;
        }
    }

    private static bool Overlap(IPNetwork a, IPNetwork b) =>
        a.BaseAddress.AddressFamily == b.BaseAddress.AddressFamily && (a.Contains(b.BaseAddress) || b.Contains(a.BaseAddress));
}
