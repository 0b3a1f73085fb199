namespace Relay.Silo.GrainHosting;

/// <summary>Settings that only this grain host has: none, it lives on the grid's port.</summary>
internal static class GrainHostSettings
{
    /// <summary>Options of relay-silo and what they mean.</summary>
    public static readonly (string Option, string Meaning)[] Known = [];

    /// <summary>Whether a silo on this host can serve before it has reached the store. It joins the others later.</summary>
    public static bool StartsWithoutStore => true;

    /// <returns>What is wrong with the values; empty when nothing is.</returns>
    public static IEnumerable<(string Option, string Problem)> Check(IReadOnlyDictionary<string, string> values) => [];
}
