using System.Net;
using Relay.Api;
using Relay.Protocol.WireGuard;

namespace Relay.Cli.WireGuard;

/// <summary>Which names a device looks up in its tunnel.</summary>
internal enum DeviceNames
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>Those of sockets, where the system can be told so.</summary>
    Suffix,

    /// <summary>All.</summary>
    All,
}

/// <summary>The wg-quick file of a device: its own keys, and what the API said, each value checked to be what it is.</summary>
internal static class DeviceFile
{
    /// <summary>Its text.</summary>
    /// <param name="privateKey">32 bytes; copied into the text.</param>
    /// <param name="presharedKey">32 bytes; null: none.</param>
    /// <param name="gateway">The gateway to go through; null: the first one there is.</param>
    /// <param name="names">Which names are looked up in the tunnel.</param>
    /// <exception cref="CliException">There is no such gateway, or the API said something that is no such value.</exception>
    public static string Write(DeviceConfiguration said, byte[] privateKey, byte[]? presharedKey, string? gateway, DeviceNames names)
    {
        try
        {
            using var configuration = new WgQuickConfiguration
            {
                PrivateKey = [.. privateKey],
                Addresses = [.. said.Addresses.Select(Address)],
                DnsServers = names is DeviceNames.None ? [] : [.. said.Dns.Select(IPAddress.Parse)],
                DnsDomains = names is DeviceNames.None ? [] : [said.DnsSuffix],
                SplitDns = names is DeviceNames.Suffix,
                Mtu = said.Mtu,
                Peers =
                [
                    new WgQuickPeer
                    {
                        PublicKey = WireGuardPublicKey.TryParse(said.PublicKey, out var key) ? key : throw new FormatException("the gateways' public key is none"),
                        PresharedKey = [.. presharedKey ?? []],
                        AllowedIPs = [.. said.AllowedIps.Select(r => IPNetwork.Parse(r))],
                        Endpoint = Choose(said.Gateways, gateway)?.Address,
                        PersistentKeepaliveSeconds = said.PersistentKeepaliveSeconds,
                    },
                ],
            };
            return configuration.ToString();
        }
        catch (FormatException e)
        {
            throw new CliException(ExitCode.Error, $"the API described the device with something that cannot be written into its file: {e.Message}");
        }
    }

    private static DeviceGateway? Choose(IReadOnlyList<DeviceGateway> gateways, string? name)
    {
        if (name is null)
            return gateways.Count == 0 ? null : gateways[0];
        return gateways.FirstOrDefault(g => string.Equals(g.Name, name, StringComparison.OrdinalIgnoreCase))
            ?? throw new CliException(ExitCode.NotFound, gateways.Count == 0
                ? "no gateway that serves WireGuard is connected"
                : $"there is no gateway {Output.Render.Printable(name)} that serves WireGuard; there are: {Output.Render.Printable(string.Join(", ", gateways.Select(g => g.Name)))}");
    }

    private static WgQuickAddress Address(string text)
    {
        var network = IPNetwork.Parse(text);
        return new WgQuickAddress(network.BaseAddress, network.PrefixLength);
    }
}
