namespace Relay.Silo.Hosting;

/// <summary>Which silo this is.</summary>
/// <param name="Address">Advertised grid address "host:port".</param>
/// <param name="Incarnation">Made at start: the same silo, restarted, is another.</param>
internal sealed record SiloIdentity(string Name, string Address, Guid Incarnation)
{
    /// <summary>Of the software, "major.minor.patch".</summary>
    public static string Version { get; } = typeof(SiloIdentity).Assembly.GetName().Version!.ToString(3);
}
