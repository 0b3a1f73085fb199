namespace Relay.Silo.Fencing;

internal sealed partial class FenceKeeper
{
    [LoggerMessage(4501, LogLevel.Warning, "grid health changed")]
    private partial void LogHealth(bool storeReachable, bool storeReachableDirectly, bool majorityReachable);

    [LoggerMessage(4502, LogLevel.Critical, "this silo was fenced: the others have declared it dead; it serves nothing any more and ends")]
    private partial void LogFenced();

    [LoggerMessage(4503, LogLevel.Warning, "a dead silo is fenced")]
    private partial void LogFencedOther(string silo, Guid incarnation);
}
