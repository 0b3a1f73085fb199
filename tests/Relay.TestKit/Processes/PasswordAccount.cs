using System.Security.Cryptography;

namespace Relay.TestKit.Processes;

/// <summary>A Unix account of this machine that logs in with a password, for a real sshd to check. Needs root. Caller disposes, which removes it.</summary>
public sealed class PasswordAccount : IAsyncDisposable
{
    private PasswordAccount(string name, string password)
    {
        Name = name;
        Password = password;
    }

    public string Name { get; }

    public string Password { get; }

    public static async Task<PasswordAccount> CreateAsync()
    {
        var account = new PasswordAccount($"relay-t-{RandomNumberGenerator.GetHexString(8, lowercase: true)}", RandomNumberGenerator.GetHexString(24));
        await MustAsync("useradd", ["--no-create-home", "--home-dir", "/", "--no-user-group", "--shell", "/bin/sh", account.Name]);
        await MustAsync("chpasswd", [], $"{account.Name}:{account.Password}\n");
        return account;
    }

    public async ValueTask DisposeAsync() => await MustAsync("userdel", [Name]);

    private static async Task MustAsync(string program, string[] arguments, string input = "")
    {
        var result = await Command.RunAsync(program, arguments, stdin: System.Text.Encoding.ASCII.GetBytes(input));
        if (result.ExitCode != 0)
            throw new InvalidOperationException($"{program}: {result}");
    }
}
