namespace Relay.Silo.Connectors;

internal sealed partial class ConnectorListener
{
    [LoggerMessage(3101, LogLevel.Warning, "a connector's connection could not be accepted")]
    private partial void LogAcceptFailed(string cause);

    [LoggerMessage(3102, LogLevel.Debug, "a connection to the connector port did not attach")]
    private partial void LogNotAttached(string remote, string cause);

    [LoggerMessage(3103, LogLevel.Error, "attaching a connector failed")]
    private partial void LogAttachFailed(string remote, Exception exception);
}
