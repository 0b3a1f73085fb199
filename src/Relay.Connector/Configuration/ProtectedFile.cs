using System.Text;

namespace Relay.Connector.Configuration;

/// <summary>Reads files that decide whom the connector trusts. What others may write is refused (L35).</summary>
internal static class ProtectedFile
{
    private const UnixFileMode WritableByOthers = UnixFileMode.GroupWrite | UnixFileMode.OtherWrite;

    /// <exception cref="ConnectorConfigurationException">Not readable, too large, or writable by group or others.</exception>
    public static string ReadText(string path, int limitBytes)
    {
        try
        {
            // The mode is asked of the open file: it cannot be exchanged in between.
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read);
            if (!OperatingSystem.IsWindows())
            {
                if ((File.GetUnixFileMode(file.SafeFileHandle) & WritableByOthers) != 0)
                    throw ConnectorOptionsReader.Usage($"{path} can be changed by other users; make it yours alone: chmod 600 {path}");
                var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
                var mode = File.GetUnixFileMode(folder);
                if ((mode & WritableByOthers) != 0 && (mode & UnixFileMode.StickyBit) == 0)
                    throw ConnectorOptionsReader.Usage($"{path} can be replaced by other users, who may write to its folder; chmod go-w {folder}");
            }

            if (file.Length > limitBytes)
                throw ConnectorOptionsReader.Usage($"{path} is larger than {limitBytes} bytes");
            using var reader = new StreamReader(file, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true));
            return reader.ReadToEnd();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or DecoderFallbackException)
        {
            throw ConnectorOptionsReader.Usage($"cannot read {path}: {e.Message}");
        }
    }
}
