using System.Globalization;
using System.Net;
using Relay.Gateway.WireGuard;
using Relay.Gateway.WireGuard.Resolver;
using Relay.Protocol.Grid;

namespace Relay.Gateway.Hosting;

/// <summary>Reads <see cref="WireGuardOptions"/> from the settings whose names begin with RELAY_WIREGUARD_. Addresses inside and the key are the silos' to say.</summary>
internal static class WireGuardOptionsReader
{
    /// <param name="value">A setting; null when it is not given.</param>
    /// <param name="errors">Gets a sentence for each mistake.</param>
    /// <returns>Null: WireGuard is off, or there was a mistake.</returns>
    public static WireGuardOptions? Read(Func<string, string?> value, List<string> errors)
    {
        if (value("RELAY_WIREGUARD_LISTEN") is not { } listen)
        {
            // L27: a setting that is given and not applied stops the start.
            foreach (var name in (string[])["RELAY_WIREGUARD_ADVERTISE", "RELAY_WIREGUARD_MTU", "RELAY_DNS_FORWARD"])
            {
                if (value(name) is not null) errors.Add($"{name} is given, but WireGuard is off: set RELAY_WIREGUARD_LISTEN too.");
            }

            return null;
        }

        var before = errors.Count;
        if (!GatewayOptionsReader.TryParseEndPoint(listen, out var endPoint))
            errors.Add($"RELAY_WIREGUARD_LISTEN \"{listen}\" must be an address and a port, for example [::]:{WireGuardOptions.DefaultPort} for IPv4 and IPv6.");
        var options = new WireGuardOptions { Listen = endPoint ?? new IPEndPoint(IPAddress.IPv6Any, 0), Advertise = value("RELAY_WIREGUARD_ADVERTISE") };
        if (options.Advertise is { } advertise && !GridAddress.TryParse(advertise, out _, out _))
            errors.Add($"RELAY_WIREGUARD_ADVERTISE \"{advertise}\" must be host:port, as devices reach it, for example gateway.example.com:{WireGuardOptions.DefaultPort}.");
        if (value("RELAY_WIREGUARD_MTU") is { } mtu)
        {
            if (int.TryParse(mtu, NumberStyles.None, CultureInfo.InvariantCulture, out var bytes) && bytes is >= 1280 and <= 9000)
                options = options with { Mtu = bytes };
            else
                errors.Add($"RELAY_WIREGUARD_MTU \"{mtu}\" must be a whole number of bytes from 1280 to 9000.");
        }

        if (value("RELAY_DNS_FORWARD") is { } forward) options = options with { DnsForward = Resolvers(forward, errors) };
        return errors.Count == before ? options : null;
    }

    private static List<IPEndPoint> Resolvers(string text, List<string> errors)
    {
        var resolvers = new List<IPEndPoint>();
        foreach (var part in text.Split(',', StringSplitOptions.TrimEntries))
        {
            // Not what the framework also takes for one: "53" is no address.
            if (!IPEndPoint.TryParse(part, out var resolver) || !(part.Contains(':') || part.Count(c => c == '.') == 3)) errors.Add($"RELAY_DNS_FORWARD \"{part}\" must be an address, with a port unless it is 53, for example 192.0.2.53 or [2001:db8::53]:5353.");
            else resolvers.Add(resolver.Port == 0 ? new IPEndPoint(resolver.Address, ResolverOptions.Port) : resolver);
        }

        if (resolvers.Count > 4) errors.Add($"RELAY_DNS_FORWARD \"{text}\" must have at most 4 resolvers.");
        return resolvers;
    }
}
