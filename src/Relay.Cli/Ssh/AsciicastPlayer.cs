using System.Text;
using System.Text.Json;

namespace Relay.Cli.Ssh;

/// <summary>Plays an asciicast v2 stream: what the terminal showed, at the pace it happened.</summary>
internal sealed class AsciicastPlayer(TextWriter output, TimeProvider time)
{
    /// <param name="speed">2 is twice as fast.</param>
    /// <param name="longestPause">Pauses are cut to this; null: kept.</param>
    public async Task PlayAsync(Stream recording, double speed, TimeSpan? longestPause, CancellationToken cancellationToken)
    {
        using var reader = new StreamReader(recording, Encoding.UTF8);
        double played = 0;
        await reader.ReadLineAsync(cancellationToken); // the header: size and start, nothing to show
        while (await reader.ReadLineAsync(cancellationToken) is { } line)
        {
            using var document = JsonDocument.Parse(line);
            if (document.RootElement is not { ValueKind: JsonValueKind.Array } entry || entry.GetArrayLength() != 3)
                throw new CliException(ExitCode.Error, $"the recording holds a line that is not asciicast v2: {line[..Math.Min(line.Length, 80)]}");
            var at = entry[0].GetDouble();
            var pause = TimeSpan.FromSeconds(Math.Max(0, at - played));
            played = at;
            if (entry[1].GetString() != "o")
                continue;
            if (longestPause is { } longest && pause > longest)
                pause = longest;
            if (pause / speed > TimeSpan.FromMilliseconds(1))
            {
                await output.FlushAsync(cancellationToken);
                await Task.Delay(pause / speed, time, cancellationToken);
            }
            await output.WriteAsync(entry[2].GetString().AsMemory(), cancellationToken);
        }
        await output.FlushAsync(cancellationToken);
    }
}
