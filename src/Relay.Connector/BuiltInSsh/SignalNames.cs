namespace Relay.Connector.BuiltInSsh;

/// <summary>Signals by the names of RFC 4254 §6.10 and their numbers on Linux.</summary>
internal static class SignalNames
{
    private static readonly Dictionary<string, int> s_numbers = new()
    {
        ["HUP"] = 1, ["INT"] = 2, ["QUIT"] = 3, ["ILL"] = 4, ["ABRT"] = 6, ["FPE"] = 8, ["KILL"] = 9,
        ["USR1"] = 10, ["SEGV"] = 11, ["USR2"] = 12, ["PIPE"] = 13, ["ALRM"] = 14, ["TERM"] = 15,
    };

    /// <summary>Null: not one that may be sent.</summary>
    public static int? Number(string name) => s_numbers.TryGetValue(name, out var number) ? number : null;

    public static string Name(int number) => s_numbers.FirstOrDefault(s => s.Value == number).Key ?? $"SIG{number}@relay";
}
