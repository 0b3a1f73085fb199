namespace Relay.Gateway.Proxy;

/// <summary>Counts payload as it passes. Safe for concurrent use.</summary>
internal interface IByteCounter
{
    void AddUp(int bytes);

    void AddDown(int bytes);
}
