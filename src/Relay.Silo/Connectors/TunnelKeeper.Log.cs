namespace Relay.Silo.Connectors;

internal sealed partial class TunnelKeeper
{
    [LoggerMessage(3401, LogLevel.Information, "connector detached")]
    private partial void LogDetached(string connector, Guid connectorId, long epoch, Guid agentInstance, string silo, string cause);

    [LoggerMessage(3402, LogLevel.Information, "connector takes no more streams")]
    private partial void LogDraining(string connector, long epoch, int openStreams);

    [LoggerMessage(3403, LogLevel.Warning, "closing a connector's tunnel")]
    private partial void LogClosing(string connector, long epoch, string cause);

    [LoggerMessage(3404, LogLevel.Warning, "a lease was not released; it will lapse")]
    private partial void LogNotReleased(string connector, string cause);

    [LoggerMessage(3405, LogLevel.Error, "the store does not answer, nor through a peer; tunnels stay as long as their leases allow")]
    private partial void LogStoreLost();

    [LoggerMessage(3406, LogLevel.Information, "the store answers again")]
    private partial void LogStoreBack();

    [LoggerMessage(3407, LogLevel.Error, "keeping tunnels failed")]
    private partial void LogTickFailed(Exception exception);
}
