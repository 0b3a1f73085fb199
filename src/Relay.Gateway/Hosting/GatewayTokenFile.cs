using Relay.Gateway.Grid;
using Relay.Protocol.Tokens;

namespace Relay.Gateway.Hosting;

/// <summary>The token can not be used; the message says what to do.</summary>
internal sealed class GatewayTokenException(string message) : Exception(message);

/// <summary>Reads the enrolment token. It comes from a file only: arguments and environment are visible to others (L35).</summary>
internal static class GatewayTokenFile
{
    private const int MaxBytes = 16 * 1024;

    /// <exception cref="GatewayTokenException">Missing, writable by others, or no gateway token.</exception>
    public static GatewayToken Read(string path)
    {
        var file = new FileInfo(path);
        if (!file.Exists)
        {
            throw new GatewayTokenException($"the token file {path} does not exist");
        }

        if (!OperatingSystem.IsWindows() && (file.UnixFileMode & (UnixFileMode.GroupWrite | UnixFileMode.OtherWrite | UnixFileMode.OtherRead)) != 0)
        {
            throw new GatewayTokenException($"others may read or write the token file {path}; run: chmod 600 {path}");
        }

        if (file.Length > MaxBytes)
        {
            throw new GatewayTokenException($"the token file {path} is too long for a token");
        }

        return Parse(File.ReadAllText(path).Trim(), path);
    }

    private static GatewayToken Parse(string text, string path)
    {
        if (!JsonWebToken.TryParse(text, out var token) || token.Type != "gateway" || token.GridCaHash is not { Length: 64 } pin)
        {
            throw new GatewayTokenException($"the token file {path} holds no gateway token");
        }

        return new GatewayToken(text, pin, token.Silos);
    }
}
