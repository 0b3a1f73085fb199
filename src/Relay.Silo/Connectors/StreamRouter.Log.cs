namespace Relay.Silo.Connectors;

internal sealed partial class StreamRouter
{
    [LoggerMessage(3301, LogLevel.Information, "path to a connector failed")]
    private partial void LogPathFailed(Guid session, string connector, string silo, string code, string cause);

    [LoggerMessage(3302, LogLevel.Warning, "where connectors are cannot be asked; only local ones are used")]
    private partial void LogDirectoryFailed(string cause);
}
