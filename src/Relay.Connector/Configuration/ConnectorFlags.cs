namespace Relay.Connector.Configuration;

/// <summary>What the command line said; null: nothing. A token has no flag: the command line is visible to every user of the machine (L35).</summary>
public sealed record ConnectorFlags
{
    /// <summary>Path of a YAML file: <c>--config</c>.</summary>
    public string? ConfigFile { get; init; }

    /// <summary>Path of a file that holds the token: <c>--token-file</c>.</summary>
    public string? TokenFile { get; init; }

    /// <summary>The connector the token must be for: <c>--connector-id</c>.</summary>
    public string? ConnectorId { get; init; }

    /// <summary>"host:port", several separated by commas: <c>--server</c>.</summary>
    public string? Server { get; init; }
}
