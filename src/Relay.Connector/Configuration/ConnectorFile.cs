using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Relay.Connector.Configuration;

/// <summary>The YAML configuration file. An unknown or misspelt key stops the start (L27): a setting that is not applied must not look applied.</summary>
internal sealed class ConnectorFile
{
    private const int MaxBytes = 256 * 1024;

    private ConnectorFile(string path) => Path = path;

    public string Path { get; }

    public string? Token { get; private set; }

    public string? ConnectorId { get; private set; }

    public string? ConnectorServer { get; private set; }

    public string? LogLevel { get; private set; }

    public string? Region { get; private set; }

    /// <exception cref="ConnectorConfigurationException">Not readable, not YAML, an unknown key, or a value of the wrong kind.</exception>
    public static ConnectorFile Read(string path)
    {
        var text = ProtectedFile.ReadText(path, MaxBytes);
        var yaml = new YamlStream();
        try
        {
            using var reader = new StringReader(text);
            yaml.Load(reader);
        }
        catch (YamlException e)
        {
            // The parser's text may quote the file, and with it the token: only the place is told.
            throw ConnectorOptionsReader.Usage($"{path} is not YAML (line {e.Start.Line})");
        }

        var file = new ConnectorFile(path);
        if (yaml.Documents.Count == 0)
            return file;
        if (yaml.Documents.Count > 1 || yaml.Documents[0].RootNode is not YamlMappingNode root)
            throw ConnectorOptionsReader.Usage($"{path} must hold keys and values");
        foreach (var (key, value) in root.Children)
            file.Set((key as YamlScalarNode)?.Value ?? "", value);
        return file;
    }

    private void Set(string key, YamlNode value)
    {
        switch (key)
        {
            case "token":
                Token = Scalar(key, value);
                break;
            case "connector_id":
                ConnectorId = Scalar(key, value);
                break;
            case "connector_server":
                ConnectorServer = Scalar(key, value);
                break;
            case "log_level":
                LogLevel = Scalar(key, value);
                break;
            case "region":
                Region = Scalar(key, value);
                break;
            case "connector_insecure":
                if (Scalar(key, value) is not ("false" or "no"))
                    throw ConnectorOptionsReader.Usage($"{Path}: connector_insecure cannot be turned on: the token says which grid to trust");
                break;
            default:
                throw ConnectorOptionsReader.Usage($"{Path}: unknown key '{key}'; known are token, connector_id, connector_server, connector_insecure, log_level, region");
        }
    }

    private string Scalar(string key, YamlNode value) =>
        value is YamlScalarNode { Value: { } text } ? text : throw ConnectorOptionsReader.Usage($"{Path}: {key} must be a single value");
}
