namespace Relay.Silo.Connectors;

/// <summary>What the choice of a way to a target depends on.</summary>
/// <param name="Healthy">Nothing says that it does not work.</param>
/// <param name="HostStreams">Streams of the same socket that go to the same host.</param>
/// <param name="ConnectorStreams">Streams through the same connector.</param>
/// <param name="Here">The connector's tunnel ends at this silo: one hop less.</param>
internal readonly record struct PathLoad(bool Healthy, int HostStreams, int ConnectorStreams, bool Here);

/// <summary>In which order the ways to a target are tried: those that work first, of these the host with the fewest sessions, then the connector with the fewest streams, then the nearer one.</summary>
internal static class PathChoice
{
    /// <summary>All of them, best first; equal ones keep their order. An unhealthy one is tried when nothing else is left: what is known of it may be old.</summary>
    public static IReadOnlyList<T> Order<T>(IEnumerable<T> paths, Func<T, PathLoad> load) =>
    [
        .. paths.Select(path => (Path: path, Load: load(path)))
            .OrderBy(p => !p.Load.Healthy)
            .ThenBy(p => p.Load.HostStreams)
            .ThenBy(p => p.Load.ConnectorStreams)
            .ThenBy(p => !p.Load.Here)
            .Select(p => p.Path),
    ];
}
