namespace Relay.Silo.Connectors;

internal sealed partial class ConnectorAttacher
{
    [LoggerMessage(3201, LogLevel.Information, "connector attached")]
    private partial void LogAttached(string connector, Guid connectorId, long epoch, Guid agentInstance, string silo, string remote, string version);

    [LoggerMessage(3202, LogLevel.Information, "connector refused")]
    private partial void LogRefused(string remote, string code, string cause);

    [LoggerMessage(3203, LogLevel.Information, "holder of a connector probed for a newcomer")]
    private partial void LogProbed(string connector, string silo, long epoch, string outcome, bool fenced, bool lapsed, string verdict);

    [LoggerMessage(3204, LogLevel.Error, "the store does not answer; a connector was sent away")]
    private partial void LogStoreFailed(string remote, string cause);

    // At the moment of the decision: the attachment itself is logged once the agent has its answer.
    [LoggerMessage(3205, LogLevel.Debug, "lease granted")]
    private partial void LogLeaseGranted(string connector, Guid connectorId, long epoch, Guid agentInstance);
}
