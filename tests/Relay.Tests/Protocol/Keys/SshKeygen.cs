namespace Relay.Tests.Protocol.Keys;

/// <summary>OpenSSH's ssh-keygen in a directory of its own; the peer of every format test.</summary>
internal sealed class SshKeygen : IDisposable
{
    private static readonly Dictionary<string, string?> s_plain = new() { ["TZ"] = "UTC", ["LC_ALL"] = "C" };
    private readonly TempDir _folder = new("relay-keys-");

    public string PathOf(string name) => _folder.File(name);

    public string Read(string name) => File.ReadAllText(PathOf(name));

    /// <summary>Writes a file as a private key must be kept: readable by its owner only.</summary>
    public string Write(string name, string text) => _folder.Write(name, text);

    /// <summary>Makes a key pair without passphrase and returns the private file's text.</summary>
    public string Generate(string name, params string[] type)
    {
        Run(["-q", "-N", "", "-C", "made by ssh-keygen", "-f", PathOf(name), .. type]);
        return Read(name);
    }

    public string Run(params string[] arguments) => RunProgram("ssh-keygen", null, arguments);

    /// <summary>Runs a program to its end; its standard output. The test fails with both outputs when it reports failure.</summary>
    public string RunProgram(string program, string? input, params string[] arguments)
    {
        var stdin = System.Text.Encoding.UTF8.GetBytes(input ?? "");
        var result = Task.Run(() => Command.RunAsync(program, arguments, s_plain, stdin, workingDirectory: _folder.Path, cancellationToken: TestContext.Current.CancellationToken)).GetAwaiter().GetResult();
        Assert.True(result.ExitCode == 0, $"{program} {string.Join(' ', arguments)}: {result}");
        return result.Text;
    }

    public void Dispose() => _folder.Dispose();
}
