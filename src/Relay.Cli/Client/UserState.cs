using System.Text.Json;
using System.Text.Json.Serialization;

namespace Relay.Cli.Client;

/// <summary>
/// What the CLI keeps between commands: <c>~/.relay</c>, 0700. Under sudo it is the invoking user's, because that is
/// who logged in. <c>RELAY_HOME</c> overrides the folder.
/// </summary>
internal sealed class UserState
{
    private UserState(string directory) => Folder = directory;

    /// <summary>The folder itself; exists once something was saved.</summary>
    public string Folder { get; }

    /// <summary>Bearer token of the last login, 0600.</summary>
    public string TokenFile => Path.Combine(Folder, "token");

    /// <summary>Keys, certificate and known hosts for the system's ssh.</summary>
    public string SshFolder => Path.Combine(Folder, "ssh");

    private string SettingsFile => Path.Combine(Folder, "settings.json");

    public static UserState Open()
    {
        if (Environment.GetEnvironmentVariable("RELAY_HOME") is { Length: > 0 } chosen)
            return new UserState(Path.GetFullPath(chosen));
        return new UserState(Path.Combine(InvokingUsersHome(), ".relay"));
    }

    public Settings LoadSettings()
    {
        if (!File.Exists(SettingsFile))
            return new Settings(null, null);
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllText(SettingsFile), UserStateJson.Default.Settings) ?? new Settings(null, null);
        }
        catch (JsonException e)
        {
            throw new CliException(ExitCode.Error, $"{SettingsFile} is not valid JSON ({e.Message}). Remove it and log in again.");
        }
    }

    public void SaveSettings(Settings settings) =>
        WritePrivate(SettingsFile, JsonSerializer.Serialize(settings, UserStateJson.Default.Settings));

    /// <summary>The saved token, or null when nobody is logged in.</summary>
    public string? LoadToken() => File.Exists(TokenFile) ? File.ReadAllText(TokenFile).Trim() : null;

    public void SaveToken(string token) => WritePrivate(TokenFile, token + "\n");

    /// <summary>Forgets the login: token and SSH certificate. Settings stay. Answers false when there was none.</summary>
    public bool Forget()
    {
        if (Directory.Exists(SshFolder))
            Directory.Delete(SshFolder, recursive: true);
        if (!File.Exists(TokenFile))
            return false;
        File.Delete(TokenFile);
        return true;
    }

    /// <summary>Writes 0600 and atomically: a reader sees the old text or the new one.</summary>
    public static void WritePrivate(string path, string text)
    {
        var folder = Path.GetDirectoryName(path)!;
        Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var temporary = Path.Combine(folder, $".{Path.GetFileName(path)}.{Guid.NewGuid():N}");
        using (var stream = new FileStream(temporary, new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        }))
        using (var writer = new StreamWriter(stream))
            writer.Write(text);
        File.Move(temporary, path, overwrite: true);
    }

    private static string InvokingUsersHome()
    {
        var home = Environment.GetEnvironmentVariable("HOME") ?? Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        if (Environment.GetEnvironmentVariable("SUDO_USER") is not { Length: > 0 } user || user == "root")
            return home;
        foreach (var line in File.ReadLines("/etc/passwd"))
        {
            var fields = line.Split(':');
            if (fields.Length >= 6 && fields[0] == user)
                return fields[5];
        }
        return home;
    }
}

/// <summary>What a login chose. <paramref name="Api"/> is the API's base address.</summary>
internal sealed record Settings(string? Api, string? Email);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(Settings))]
internal sealed partial class UserStateJson : JsonSerializerContext;
