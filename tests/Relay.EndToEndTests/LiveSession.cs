using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary>A session that goes on until somebody ends it; started means the command's first line has come back.</summary>
public sealed class LiveSession : IAsyncDisposable
{
    private LiveSession(RunningProcess process) => Process = process;

    public RunningProcess Process { get; }

    public static async Task<LiveSession> StartAsync(RelayGrid grid, string host, RelayGrid.Silo? silo = null)
    {
        var process = RunningProcess.Start($"ssh {host}", "ssh",
            ["-F", await grid.SshConfigAsync(), "-o", "BatchMode=yes", host, "echo live; exec sleep 300"], grid.CliEnvironment(silo ?? grid.Silos[0]));
        var session = new LiveSession(process);
        await process.WaitForLineAsync("live");
        return session;
    }

    public ValueTask DisposeAsync() => Process.DisposeAsync();
}
