namespace Relay.Connector.Configuration;

/// <summary>Everything the connector needs to start. Not a record: a record would print its token.</summary>
public sealed class ConnectorOptions
{
    /// <summary>The connector token. SECURITY: a bearer secret; never logged.</summary>
    public required string Token { get; init; }

    /// <summary>Where the token came from, for the log.</summary>
    public required string TokenSource { get; init; }

    /// <summary>Connector addresses "host:port" to dial instead of those in the token. Empty: the token's.</summary>
    public IReadOnlyList<string> Servers { get; init; } = [];

    /// <summary>How long open streams may go on after a stop was asked for. Default: 30 s. Zero: not at all.</summary>
    public TimeSpan DrainLimit { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Longest wait between two attempts to connect; each wait is random between 0 and a growing bound. Default: 30 s.</summary>
    public TimeSpan MaxRetryDelay { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Where this agent is: of silos that are equally near one here is used. Empty: unknown.</summary>
    public string Region { get; init; } = "";

    /// <summary>How often the distance of each silo is measured; jittered by a quarter. Default: 30 s.</summary>
    public TimeSpan MeasureInterval { get; init; } = TimeSpan.FromSeconds(30);
}
