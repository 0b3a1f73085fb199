using System.Net;
using System.Security.Cryptography;
using Relay.Gateway.WireGuard;
using Relay.Protocol.Grid;
using Relay.Protocol.WireGuard;

namespace Relay.Gateway.Devices;

/// <summary>Reads what silos say all gateways share.</summary>
internal static class DeviceNetwork
{
    /// <summary>The options with the grid's ranges and names.</summary>
    /// <exception cref="WireGuardUnavailableException">It cannot be used.</exception>
    public static WireGuardOptions Apply(WireGuardOptions options, WireGuardNetwork network) =>
        options with { Devices = Ranges(network.Devices), Resources = Ranges(network.Resources), Suffix = network.Suffix };

    /// <summary>The grid's private key: 32 bytes, pinned; the caller wipes them.</summary>
    /// <exception cref="WireGuardUnavailableException">It is none.</exception>
    public static byte[] Key(WireGuardNetwork network)
    {
        var key = GC.AllocateUninitializedArray<byte>(WireGuardPrivateKey.Length, pinned: true);
        if (Convert.TryFromBase64Chars(network.PrivateKey, key, out var length) && length == key.Length)
            return key;
        CryptographicOperations.ZeroMemory(key);
        throw new WireGuardUnavailableException("the silo's key for it cannot be read.");
    }

    private static List<IPNetwork> Ranges(IReadOnlyList<string> texts)
    {
        var ranges = new List<IPNetwork>();
        foreach (var text in texts ?? [])
        {
            // As silos check it, too: 2^16 addresses, so that our own has a place.
            if (!IPNetwork.TryParse(text, out var range) || range.PrefixLength > (range.BaseAddress.GetAddressBytes().Length * 8) - 16)
                throw new WireGuardUnavailableException("the silo's ranges of addresses cannot be read.");
            ranges.Add(range);
        }

        return ranges.Count > 0 && ranges.GroupBy(r => r.BaseAddress.AddressFamily).All(g => g.Count() == 1)
            ? ranges
            : throw new WireGuardUnavailableException("the silo's ranges of addresses cannot be read.");
    }
}
