using System.Globalization;
using System.Net;
using Relay.Gateway.WireGuard;

namespace Relay.Gateway.Hosting;

/// <summary>Reads <see cref="WireGuardOptions"/> from the settings whose names begin with RELAY_WIREGUARD_.</summary>
internal static class WireGuardOptionsReader
{
    /// <param name="value">A setting; null when it is not given.</param>
    /// <param name="keyFile">Where the private key is.</param>
    /// <param name="errors">Gets a sentence for each mistake.</param>
    /// <returns>Null: WireGuard is off, or there was a mistake.</returns>
    public static WireGuardOptions? Read(Func<string, string?> value, string keyFile, List<string> errors)
    {
        if (value("RELAY_WIREGUARD_LISTEN") is not { } listen)
        {
            // L27: a setting that is given and not applied stops the start.
            foreach (var name in (string[])["RELAY_WIREGUARD_DEVICES", "RELAY_WIREGUARD_RESOURCES", "RELAY_WIREGUARD_MTU"])
            {
                if (value(name) is not null) errors.Add($"{name} is given, but WireGuard is off: set RELAY_WIREGUARD_LISTEN too.");
            }

            return null;
        }

        var before = errors.Count;
        if (!GatewayOptionsReader.TryParseEndPoint(listen, out var endPoint))
            errors.Add($"RELAY_WIREGUARD_LISTEN \"{listen}\" must be an address and a port, for example [::]:{WireGuardOptions.DefaultPort} for IPv4 and IPv6.");
        var options = new WireGuardOptions { Listen = endPoint ?? new IPEndPoint(IPAddress.IPv6Any, 0), KeyFile = keyFile };
        options = options with
        {
            Devices = Ranges("RELAY_WIREGUARD_DEVICES", value, options.Devices, errors),
            Resources = Ranges("RELAY_WIREGUARD_RESOURCES", value, options.Resources, errors),
        };
        if (options.Devices.Any(d => options.Resources.Any(r => Overlap(d, r))))
            errors.Add("RELAY_WIREGUARD_DEVICES and RELAY_WIREGUARD_RESOURCES must not overlap.");
        if (value("RELAY_WIREGUARD_MTU") is { } mtu)
        {
            if (int.TryParse(mtu, NumberStyles.None, CultureInfo.InvariantCulture, out var bytes) && bytes is >= 1280 and <= 9000)
                options = options with { Mtu = bytes };
            else
                errors.Add($"RELAY_WIREGUARD_MTU \"{mtu}\" must be a whole number of bytes from 1280 to 9000.");
        }

        return errors.Count == before ? options : null;
    }

    private static IReadOnlyList<IPNetwork> Ranges(string name, Func<string, string?> value, IReadOnlyList<IPNetwork> defaults, List<string> errors)
    {
        if (value(name) is not { } text) return defaults;
        var ranges = new List<IPNetwork>();
        foreach (var part in text.Split(',', StringSplitOptions.TrimEntries))
        {
            // At least 2^16 addresses, so that our own (100.100 in the range) has a place; not all there are.
            if (IPNetwork.TryParse(part, out var range) && range.PrefixLength >= 8 && range.PrefixLength <= range.BaseAddress.GetAddressBytes().Length * 8 - 16)
                ranges.Add(range);
            else
                errors.Add($"{name} \"{part}\" must be a range of at least 65536 addresses, for example {defaults[0]}.");
        }

        if (ranges.GroupBy(r => r.BaseAddress.AddressFamily).Any(g => g.Count() > 1))
            errors.Add($"{name} \"{text}\" must have at most one range of IPv4 and one of IPv6.");
        return ranges;
    }

    private static bool Overlap(IPNetwork a, IPNetwork b) =>
        a.BaseAddress.AddressFamily == b.BaseAddress.AddressFamily && (a.Contains(b.BaseAddress) || b.Contains(a.BaseAddress));
}
