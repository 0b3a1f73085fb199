using System.Text.Json;
using Relay.TestKit;
using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary>What <c>make run</c> runs: ends and comes back, whichever way it was ended.</summary>
public sealed class RunScriptTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("relay-run-").FullName;
    private readonly Dictionary<string, string?> _environment;

    public RunScriptTests()
    {
        File.SetUnixFileMode(_folder, (UnixFileMode)0b111_001_001);
        _environment = new()
        {
            ["RELAY_STATE_DIR"] = Path.Combine(_folder, "state"),
            ["CONFIGURATION"] = new DirectoryInfo(AppContext.BaseDirectory.TrimEnd('/')).Name,
            ["RELAY_HOME"] = Path.Combine(_folder, "home"),
            ["HOME"] = _folder,
        };
        foreach (var variable in new[] { "RELAY_API_LISTEN", "RELAY_GRID_LISTEN", "RELAY_CONNECTOR_LISTEN", "RELAY_SSH_LISTEN" })
            _environment[variable] = $"127.0.0.1:{FreePort.Next()}";
        _environment["RELAY_API"] = "http://" + _environment["RELAY_API_LISTEN"];
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Ctrl_C_writes_the_last_rows_and_a_killed_silo_leaves_nothing_in_the_way()
    {
        await using (var first = StartScript())
        {
            await first.WaitForLineAsync("Ctrl-C stops everything");
            var lines = first.Output.Split('\n').ToList();
            var password = Path.Combine(_folder, "password");
            await File.WriteAllTextAsync(password, lines[lines.FindIndex(l => l.StartsWith("First start.", StringComparison.Ordinal)) + 2].Trim());
            await RelayAsync("login", "--email", "admin@relay.local", "--password-file", password);
            await using var ssh = RunningProcess.Start("ssh", RelayPrograms.Cli, ["client", "ssh", "demo", "echo live; exec sleep 300"], _environment);
            await ssh.WaitForLineAsync("live");

            // As the terminal does: to everything in the foreground.
            first.SignalGroup(2);
            Assert.Equal(0, await first.WaitForExitAsync());
        }

        var log = await File.ReadAllTextAsync(Path.Combine(_folder, "state", "log", "silo.log"));
        Assert.DoesNotContain("\"level\":\"error\"", log, StringComparison.Ordinal);
        Assert.Contains("private PostgreSQL stopped", log.TrimEnd().Split('\n')[^1], StringComparison.Ordinal);

        await using (var second = StartScript())
        {
            await second.WaitForLineAsync("Ctrl-C stops everything");
            Assert.DoesNotContain("First start", second.Output, StringComparison.Ordinal);
            using var sessions = JsonDocument.Parse(await RelayAsync("session", "ls", "--output", "json"));
            var session = Assert.Single(sessions.RootElement.GetProperty("list").EnumerateArray());
            Assert.Equal(("gateway shut down", "ready"), (session.GetProperty("outcome").GetString(), session.GetProperty("recording_state").GetString()));

            Assert.Equal(0, (await Command.RunAsync("kill", ["-9", await SiloAsync()])).ExitCode);
            Assert.Equal(1, await second.WaitForExitAsync());
            Assert.Contains("ended by itself", second.Output, StringComparison.Ordinal);
        }

        await using var third = StartScript();
        await third.WaitForLineAsync("Ctrl-C stops everything");
        Assert.Contains("demo", await RelayAsync("socket", "ls"), StringComparison.Ordinal);
        third.SignalGroup(15);
        Assert.Equal(0, await third.WaitForExitAsync());
    }

    private RunningProcess StartScript() => RunningProcess.Start("run.sh", "setsid", ["bash", Path.Combine(RepositoryRoot.Path, "src/embedded/run.sh")], _environment);

    private async Task<string> RelayAsync(params string[] arguments)
    {
        var result = await Command.RunAsync(RelayPrograms.Cli, arguments, _environment);
        return result.ExitCode == 0 ? result.Text : throw new InvalidOperationException($"relay {string.Join(' ', arguments)}: {result}");
    }

    // The silo of this test, told from others of the machine by its state folder.
    private async Task<string> SiloAsync()
    {
        foreach (var process in System.Diagnostics.Process.GetProcessesByName("relay-silo"))
            if ((await File.ReadAllTextAsync($"/proc/{process.Id}/environ")).Contains($"RELAY_STATE_DIR={_folder}/", StringComparison.Ordinal))
                return $"{process.Id}";
        throw new InvalidOperationException("The silo does not run.");
    }
}
