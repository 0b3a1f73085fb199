using System.ComponentModel;
using System.Diagnostics;

namespace Relay.Cli.WireGuard;

/// <summary>Shows a text as a QR code in the terminal, by the program qrencode.</summary>
internal static class QrCode
{
    private const string Program = "qrencode";

    /// <exception cref="CliException">There is no such program.</exception>
    public static void Require()
    {
        if (!(Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries).Any(folder => File.Exists(Path.Combine(folder, Program))))
            throw new CliException(ExitCode.Error, $"--qr needs the program {Program}, which is not on the PATH. Install it (for example: apt-get install qrencode), or use --file.");
    }

    /// <summary>SECURITY: the text holds a private key, so it goes through a pipe, where nobody else can read it.</summary>
    /// <exception cref="CliException">The program failed.</exception>
    public static async Task ShowAsync(string text, TextWriter to, CancellationToken cancellationToken)
    {
        var start = new ProcessStartInfo(Program, ["--type", "ANSIUTF8", "--output", "-"]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        try
        {
            using var process = Process.Start(start)!;
            var picture = process.StandardOutput.ReadToEndAsync(cancellationToken);
            var complaint = process.StandardError.ReadToEndAsync(cancellationToken);
            await process.StandardInput.WriteAsync(text.AsMemory(), cancellationToken);
            process.StandardInput.Close();
            await to.WriteAsync(await picture);
            await process.WaitForExitAsync(cancellationToken);
            if (process.ExitCode != 0)
                throw new CliException(ExitCode.Error, $"{Program} failed: {Output.Render.Printable((await complaint).Trim())}");
        }
        catch (Exception e) when (e is Win32Exception or IOException)
        {
            throw new CliException(ExitCode.Error, $"{Program} failed: {e.Message}");
        }
    }
}
