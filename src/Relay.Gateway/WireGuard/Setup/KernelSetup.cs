using System.Globalization;

namespace Relay.Gateway.WireGuard.Setup;

/// <summary>
/// Applies <see cref="KernelRules"/> and takes them back. The interface, its addresses and the routes through it end with the process that has it;
/// the rule, its table and the nft table are removed here: when the gateway stops, and before it sets them up, for one that was killed.
/// </summary>
internal static class KernelSetup
{
    private const int CapNetAdmin = 12;

    // More than one start can have left; not for ever when removing says yes and removes nothing.
    private const int MostLeftovers = 64;

    /// <summary>IPv6 is there, and interfaces made from now on have it.</summary>
    public static bool HasIPv6
    {
        get
        {
            const string Switch = "/proc/sys/net/ipv6/conf/default/disable_ipv6";
            return File.Exists(Switch) && File.ReadAllText(Switch).Trim() == "0";
        }
    }

    /// <summary>Says why it can not be, before anything is touched.</summary>
    /// <exception cref="WireGuardUnavailableException">A capability, a device or a program is missing.</exception>
    public static void Check()
    {
        var effective = File.ReadLines("/proc/self/status").First(l => l.StartsWith("CapEff:", StringComparison.Ordinal))["CapEff:".Length..].Trim();
        if ((ulong.Parse(effective, NumberStyles.HexNumber, CultureInfo.InvariantCulture) >> CapNetAdmin & 1) == 0)
            throw new WireGuardUnavailableException("the capability CAP_NET_ADMIN is missing.");
        if (!File.Exists("/dev/net/tun")) throw new WireGuardUnavailableException("there is no /dev/net/tun.");
        foreach (var program in (string[])["ip", "nft"])
        {
            if (SystemCommand.Find(program) is null) throw new WireGuardUnavailableException($"the program {program} is not installed.");
        }
    }

    /// <summary>Sets everything up; the interface is there already.</summary>
    /// <exception cref="WireGuardUnavailableException">The kernel refused something; what was done is undone.</exception>
    public static async Task ApplyAsync(KernelRules rules, (int Four, int Six) tcp, (int Four, int Six) udp)
    {
        await RemoveAsync();
        // First what keeps packets out, then what lets them in.
        var failed = await SystemCommand.RunAsync("nft", ["-f", "-"], rules.Filter(tcp, udp))
            ?? await SystemCommand.RunAsync("ip", ["-4", "-batch", "-"], rules.Links(six: false))
            ?? (rules.HasIPv6 ? await SystemCommand.RunAsync("ip", ["-6", "-batch", "-"], rules.Links(six: true)) : null);
        if (failed is null) return;
        await RemoveAsync();
        throw new WireGuardUnavailableException($"the kernel's network could not be set up: {failed.ReplaceLineEndings(" ")}");
    }

    /// <summary>Removes what a gateway, this one or one before it, has set up beside the interface. Nothing there is fine.</summary>
    public static async Task RemoveAsync()
    {
        var number = KernelRules.Number.ToString(CultureInfo.InvariantCulture);
        foreach (var family in (string[])["-4", "-6"])
        {
            for (var i = 0; i < MostLeftovers; i++)
            {
                if (await SystemCommand.RunAsync("ip", [family, "rule", "del", "priority", number, "lookup", number]) is not null) break;
            }

            await SystemCommand.RunAsync("ip", [family, "route", "flush", "table", number]);
        }

        await SystemCommand.RunAsync("nft", ["-f", "-"], KernelRules.NoFilter);
    }
}
