using System.ComponentModel;
using System.Diagnostics;

namespace Relay.Gateway.WireGuard.Setup;

/// <summary>Runs <c>ip</c> and <c>nft</c> of the distribution, by their absolute paths.</summary>
internal static class SystemCommand
{
    private static readonly string[] s_folders = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

    /// <summary>Where a program is; null when it is not installed. SECURITY: PATH is not asked.</summary>
    public static string? Find(string program) => s_folders.Select(f => Path.Combine(f, program)).FirstOrDefault(File.Exists);

    /// <summary>Runs one to its end with a text on stdin.</summary>
    /// <returns>Null when it succeeded; otherwise what it said.</returns>
    /// <exception cref="WireGuardUnavailableException">It is not installed.</exception>
    public static async Task<string?> RunAsync(string program, IEnumerable<string> arguments, string input = "")
    {
        var path = Find(program) ?? throw new WireGuardUnavailableException($"the program {program} is not installed.");
        var info = new ProcessStartInfo(path, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        // Settings of ours are none of its business.
        foreach (var name in info.Environment.Keys.Where(k => k.StartsWith("RELAY_", StringComparison.Ordinal)).ToArray()) info.Environment.Remove(name);
        try
        {
            using var process = Process.Start(info)!;
            var output = process.StandardOutput.ReadToEndAsync();
            var errors = process.StandardError.ReadToEndAsync();
            await process.StandardInput.WriteAsync(input);
            process.StandardInput.Close();
            await process.WaitForExitAsync();
            await output;
            var said = (await errors).Trim();
            return process.ExitCode == 0 ? null : said.Length > 0 ? said : $"{program} ended with {process.ExitCode}";
        }
        catch (Exception e) when (e is Win32Exception or IOException)
        {
            return $"{program}: {e.Message}";
        }
    }
}
