namespace Relay.Gateway.Proxy;

/// <summary>Counts payload as it passes. Safe for concurrent use.</summary>
internal interface IByteCounter
{
    void AddUp(long bytes);

    void AddDown(long bytes);
}
