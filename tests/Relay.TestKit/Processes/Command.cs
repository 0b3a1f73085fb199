using System.Diagnostics;
using System.Text;

namespace Relay.TestKit.Processes;

/// <summary>What a command that ran to its end said.</summary>
public sealed record CommandResult(int ExitCode, byte[] Stdout, string Stderr)
{
    /// <summary>Standard output as UTF-8.</summary>
    public string Text => Encoding.UTF8.GetString(Stdout);

    /// <summary>For the message of a failed test.</summary>
    public override string ToString() => $"exit code {ExitCode}\nstdout: {Text}\nstderr: {Stderr}";
}

/// <summary>Runs a command to its end with bytes on stdin, both outputs kept apart.</summary>
public static class Command
{
    /// <param name="environment">Added to this process's own; null values remove a variable.</param>
    /// <param name="deadline">Null: two minutes. Then it is killed with its children.</param>
    /// <param name="workingDirectory">Null: the system's folder for temporary files.</param>
    /// <exception cref="InvalidOperationException">It does not start, or not end in time.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; it is killed with its children.</exception>
    public static async Task<CommandResult> RunAsync(
        string file,
        IEnumerable<string> arguments,
        IReadOnlyDictionary<string, string?>? environment = null,
        ReadOnlyMemory<byte> stdin = default,
        TimeSpan? deadline = null,
        string? workingDirectory = null,
        CancellationToken cancellationToken = default)
    {
        var info = new ProcessStartInfo(file, arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
            WorkingDirectory = workingDirectory ?? Path.GetTempPath(),
        };
        foreach (var (key, value) in environment ?? new Dictionary<string, string?>())
            info.Environment[key] = value;
        using var process = Process.Start(info) ?? throw new InvalidOperationException($"{file} did not start.");
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(deadline ?? TimeSpan.FromSeconds(120));
        var stdout = new MemoryStream();
        var reading = process.StandardOutput.BaseStream.CopyToAsync(stdout, limit.Token);
        var errors = process.StandardError.ReadToEndAsync(limit.Token);
        try
        {
            await FeedAsync(process, stdin, limit.Token);
            await Task.WhenAll(reading, errors);
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new InvalidOperationException($"{file} {string.Join(' ', info.ArgumentList)} did not end in time. stdout so far: {Encoding.UTF8.GetString(stdout.ToArray())}");
        }
        finally
        {
            if (!process.HasExited)
                process.Kill(entireProcessTree: true);
        }

        return new CommandResult(process.ExitCode, stdout.ToArray(), await errors);
    }

    private static async Task FeedAsync(Process process, ReadOnlyMemory<byte> stdin, CancellationToken cancellationToken)
    {
        try
        {
            await process.StandardInput.BaseStream.WriteAsync(stdin, cancellationToken);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // The command ended before it read all of its input; its exit code tells the rest.
        }
    }
}
