namespace Relay.TestKit.Processes;

/// <summary>Where the built programs are: beside the running test program, in the same configuration.</summary>
public static class RelayPrograms
{
    public static string Silo { get; } = Find("Relay.Silo", "relay-silo");

    public static string Gateway { get; } = Find("Relay.Gateway", "relay-gateway");

    public static string Cli { get; } = Find("Relay.Cli", "relay");

    /// <summary>The driver of faults; built only with the whole solution.</summary>
    public static string Chaos => Find("Relay.Chaos", "Relay.Chaos");

    /// <summary>The gateway's WireGuard alone.</summary>
    public static string WireGuardHost => Find("Relay.WireGuardHost", "Relay.WireGuardHost");

    private static string Find(string project, string program)
    {
        // .artifacts/bin/<test project>/<configuration>/ → .artifacts/bin/<project>/<configuration>/<program>
        var here = new DirectoryInfo(AppContext.BaseDirectory.TrimEnd('/'));
        var path = Path.Combine(here.Parent!.Parent!.FullName, project, here.Name, program);
        return File.Exists(path) ? path : throw new FileNotFoundException($"{path} is not built; build Relay.sln first.");
    }
}
