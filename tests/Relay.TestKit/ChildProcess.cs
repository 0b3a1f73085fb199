using System.Diagnostics;

namespace Relay.TestKit;

/// <summary>Result of a program that ran to its end.</summary>
public sealed record ProcessResult(int ExitCode, byte[] Output, string Error)
{
    /// <summary>Standard output as UTF-8.</summary>
    public string OutputText => System.Text.Encoding.UTF8.GetString(Output);

    /// <summary>For assertion messages.</summary>
    public override string ToString() => $"exit code {ExitCode}\n{OutputText}\n{Error}";
}

/// <summary>Runs real programs as peers.</summary>
public static class ChildProcess
{
    /// <summary>
    /// Runs a program with the given input to its end; killed with its children when the token is cancelled. Output is
    /// kept apart from errors.
    /// </summary>
    public static async Task<ProcessResult> RunAsync(
        string program,
        IEnumerable<string> arguments,
        ReadOnlyMemory<byte> input = default,
        IReadOnlyDictionary<string, string>? environment = null,
        CancellationToken cancellationToken = default)
    {
        var start = new ProcessStartInfo(program)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        foreach (var (name, value) in environment ?? new Dictionary<string, string>())
            start.Environment[name] = value;
        using var process = Process.Start(start) ?? throw new InvalidOperationException($"{program} did not start");
        try
        {
            var output = ReadAllAsync(process.StandardOutput.BaseStream, cancellationToken);
            var error = process.StandardError.ReadToEndAsync(cancellationToken);
            try
            {
                await process.StandardInput.BaseStream.WriteAsync(input, cancellationToken).ConfigureAwait(false);
                process.StandardInput.Close();
            }
            catch (IOException)
            {
                // The program does not read its input; its exit code tells.
            }

            await process.WaitForExitAsync(cancellationToken).ConfigureAwait(false);
            return new(process.ExitCode, await output.ConfigureAwait(false), await error.ConfigureAwait(false));
        }
        finally
        {
            if (!process.HasExited)
                process.Kill(entireProcessTree: true);
        }
    }

    private static async Task<byte[]> ReadAllAsync(Stream stream, CancellationToken cancellationToken)
    {
        using var buffer = new MemoryStream();
        await stream.CopyToAsync(buffer, cancellationToken).ConfigureAwait(false);
        return buffer.ToArray();
    }
}
