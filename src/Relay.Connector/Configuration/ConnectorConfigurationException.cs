namespace Relay.Connector.Configuration;

/// <summary>The connector cannot start. The message is one sentence and holds no secret.</summary>
public sealed class ConnectorConfigurationException : Exception
{
    /// <summary>Says what and how the process ends.</summary>
    /// <param name="exitCode">See <see cref="ConnectorExitCode"/>.</param>
    /// <param name="message">One sentence.</param>
    public ConnectorConfigurationException(int exitCode, string message)
        : base(message)
    {
        ExitCode = exitCode;
    }

    /// <summary>See <see cref="ConnectorExitCode"/>.</summary>
    public int ExitCode { get; }

    /// <summary>Places that were looked at, in order; only for <see cref="ConnectorExitCode.NoToken"/>.</summary>
    public IReadOnlyList<string> PlacesTried { get; init; } = [];
}
