using System.Globalization;
using Relay.Silo.Hosting;

namespace Relay.Silo.GrainHosting;

/// <summary>Settings that only this grain host has: RELAY_ORLEANS_PORT.</summary>
internal static class GrainHostSettings
{
    private const string PortOption = "orleans-port";
    private const int DefaultPort = 7446;

    /// <summary>Options of relay-silo and what they mean.</summary>
    public static readonly (string Option, string Meaning)[] Known =
        [(PortOption, "grain calls between silos, at the grid's address; default 7446, 0 takes a free one")];

    /// <summary>Whether a silo on this host can serve before it has reached the store. Orleans ends when its membership table cannot be read.</summary>
    public static bool StartsWithoutStore => false;

    /// <returns>What is wrong with the values; empty when nothing is.</returns>
    public static IEnumerable<(string Option, string Problem)> Check(IReadOnlyDictionary<string, string> values)
    {
        if (values.TryGetValue(PortOption, out var text) && !TryParse(text, out _))
            yield return (PortOption, "must be a port, 0..65535");
    }

    /// <summary>0: any free one.</summary>
    public static int Port(SiloOptions options) =>
        options.GrainHost.TryGetValue(PortOption, out var text) && TryParse(text, out var port) ? port : DefaultPort;

    private static bool TryParse(string text, out int port) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out port) && port <= ushort.MaxValue;
}
