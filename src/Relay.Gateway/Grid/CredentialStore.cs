namespace Relay.Gateway.Grid;

/// <summary>Keeps the credential between starts: three PEM files, 0600, in a folder of the gateway's own, 0700.</summary>
internal sealed class CredentialStore(string stateDirectory, string name)
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private readonly string _folder = Path.Combine(stateDirectory, $"gateway-{name}");

    /// <summary>The credential of a former start, when it still holds for this grid and name.</summary>
    public GatewayCredential? Load(string pin, DateTimeOffset now)
    {
        try
        {
            return GatewayCredential.TryCreate(
                File.ReadAllText(FilePath("certificate.pem")), File.ReadAllText(FilePath("key.pem")), File.ReadAllText(FilePath("ca.pem")), pin, name, now, out var credential)
                ? credential
                : null;
        }
        catch (IOException)
        {
            // Nothing was kept: the first start.
            return null;
        }
    }

    public void Save(string certificatePem, string keyPem, string authorityPem)
    {
        if (OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(_folder);
        }
        else
        {
            Directory.CreateDirectory(_folder, OwnerOnly | UnixFileMode.UserExecute);
        }

        Write("ca.pem", authorityPem);
        Write("key.pem", keyPem);
        Write("certificate.pem", certificatePem);
    }

    private string FilePath(string file) => Path.Combine(_folder, file);

    // Written aside and moved, so that a crash leaves the old file or the new one.
    private void Write(string file, string text)
    {
        var temporary = FilePath(file + ".new");
        var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = OwnerOnly;
        }

        File.Delete(temporary);
        using (var writer = new StreamWriter(temporary, options))
        {
            writer.Write(text);
        }

        File.Move(temporary, FilePath(file), overwrite: true);
    }
}
