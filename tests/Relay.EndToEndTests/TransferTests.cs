using System.Security.Cryptography;
using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary>The tools people move data with, unmodified.</summary>
public sealed class TransferTests(OneSilo site) : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("relay-transfer-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Two_hundred_megabytes_up_arrive_unchanged()
    {
        var data = RandomBytes(200_000_000);
        var result = await site.Grid.SshAsync("db-host.relay", "sha256sum", data);
        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.StartsWith(Hash(data), result.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Two_hundred_megabytes_down_arrive_unchanged()
    {
        var file = Path.Combine(_folder, "big");
        var data = RandomBytes(200_000_000);
        await File.WriteAllBytesAsync(file, data);
        var result = await site.Grid.SshAsync("db-host.relay", $"cat {file}");
        Assert.True(result.ExitCode == 0, result.Stderr);
        Assert.Equal(Hash(data), Hash(result.Stdout));
    }

    [Theory]
    [InlineData("-s")] // over the sftp subsystem, as scp does by default now
    [InlineData("-O")] // the old protocol: an exec of scp on the target
    public async Task Scp_copies_there_and_back(string protocol)
    {
        var (from, there, back) = Files(5_000_000);
        await ToolAsync("scp", protocol, "-q", "-F", await site.Grid.SshConfigAsync(), from, $"db-host.relay:{there}");
        await ToolAsync("scp", protocol, "-q", "-F", await site.Grid.SshConfigAsync(), $"db-host.relay:{there}", back);
        Assert.Equal(await File.ReadAllBytesAsync(from), await File.ReadAllBytesAsync(back));
    }

    [Fact]
    public async Task Sftp_puts_renames_lists_and_gets()
    {
        var (from, there, back) = Files(1_000_000);
        var batch = Path.Combine(_folder, "batch");
        await File.WriteAllTextAsync(batch, $"put {from} {there}\nrename {there} {there}.moved\nls -l {_folder}\nget {there}.moved {back}\nrm {there}.moved\n");
        var text = await ToolAsync("sftp", "-F", await site.Grid.SshConfigAsync(), "-b", batch, "db-host.relay");
        Assert.Contains("there.moved", text, StringComparison.Ordinal);
        Assert.Equal(await File.ReadAllBytesAsync(from), await File.ReadAllBytesAsync(back));
        Assert.False(File.Exists(there + ".moved"));
    }

    [Fact]
    public async Task Rsync_copies_a_tree_there_and_back()
    {
        var tree = Directory.CreateDirectory(Path.Combine(_folder, "tree")).FullName;
        for (var i = 0; i < 50; i++)
            await File.WriteAllBytesAsync(Path.Combine(tree, $"file{i}"), RandomBytes(10_000 + i));
        var ssh = $"ssh -F {await site.Grid.SshConfigAsync()}";
        await ToolAsync("rsync", "-a", "-e", ssh, tree + "/", $"db-host.relay:{_folder}/there/");
        await ToolAsync("rsync", "-a", "-e", ssh, $"db-host.relay:{_folder}/there/", $"{_folder}/back/");
        for (var i = 0; i < 50; i++)
            Assert.Equal(await File.ReadAllBytesAsync(Path.Combine(tree, $"file{i}")), await File.ReadAllBytesAsync(Path.Combine(_folder, "back", $"file{i}")));
    }

    [Fact]
    public async Task Git_clones_and_pushes()
    {
        var config = await site.Grid.SshConfigAsync();
        var environment = new Dictionary<string, string?>(site.Grid.CliEnvironment(site.Grid.Silos[0]))
        {
            ["GIT_SSH_COMMAND"] = $"ssh -F {config}",
            ["GIT_AUTHOR_NAME"] = "t", ["GIT_AUTHOR_EMAIL"] = "t@example.org", ["GIT_COMMITTER_NAME"] = "t", ["GIT_COMMITTER_EMAIL"] = "t@example.org",
        };
        var bare = Path.Combine(_folder, "repository.git");
        var clone = Path.Combine(_folder, "clone");
        async Task Git(string folder, params string[] arguments)
        {
            var result = await Command.RunAsync("git", ["-c", "init.defaultBranch=main", "-c", "safe.directory=*", "-C", folder, .. arguments], environment);
            Assert.True(result.ExitCode == 0, $"git {string.Join(' ', arguments)}: {result}");
        }
        await Git(_folder, "init", "-q", "--bare", bare);
        await Git(_folder, "clone", "-q", $"db-host.relay:{bare}", clone);
        await File.WriteAllBytesAsync(Path.Combine(clone, "data"), RandomBytes(2_000_000));
        await Git(clone, "add", "data");
        await Git(clone, "commit", "-q", "-m", "data");
        await Git(clone, "push", "-q", "origin", "HEAD:main");
        await Git(_folder, "clone", "-q", "-b", "main", $"db-host.relay:{bare}", "again");
        Assert.Equal(await File.ReadAllBytesAsync(Path.Combine(clone, "data")), await File.ReadAllBytesAsync(Path.Combine(_folder, "again", "data")));
    }

    private (string From, string There, string Back) Files(int size)
    {
        var from = Path.Combine(_folder, "from");
        File.WriteAllBytes(from, RandomBytes(size));
        return (from, Path.Combine(_folder, "there"), Path.Combine(_folder, "back"));
    }

    private async Task<string> ToolAsync(string file, params string[] arguments)
    {
        var result = await Command.RunAsync(file, arguments, site.Grid.CliEnvironment(site.Grid.Silos[0]));
        Assert.True(result.ExitCode == 0, $"{file} {string.Join(' ', arguments)}: {result}");
        return result.Text;
    }

    private static byte[] RandomBytes(int size)
    {
        var data = new byte[size];
        new Random(size).NextBytes(data);
        return data;
    }

    private static string Hash(byte[] data) => Convert.ToHexStringLower(SHA256.HashData(data));
}
