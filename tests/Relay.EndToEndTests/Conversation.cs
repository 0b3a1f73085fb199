using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary>An interactive session in which every line is answered.</summary>
internal sealed class Conversation(RunningProcess process) : IAsyncDisposable
{
    public RunningProcess Process => process;

    public static async Task<Conversation> StartAsync(RelayGrid grid, string host)
    {
        var process = RunningProcess.Start($"ssh {host}", "ssh",
            ["-F", await grid.SshConfigAsync(), "-o", "BatchMode=yes", host, "echo hello; while read -r line; do echo \"said $line\"; done"], grid.CliEnvironment(grid.Silos[1]));
        var conversation = new Conversation(process);
        await process.WaitForLineAsync("hello");
        return conversation;
    }

    public async Task SayAsync(string word)
    {
        await process.WriteLineAsync(word);
        await process.WaitForLineAsync($"said {word}");
    }

    public async Task EndAsync()
    {
        process.CloseInput();
        Assert.Equal(0, await process.WaitForExitAsync());
    }

    public ValueTask DisposeAsync() => process.DisposeAsync();
}
