using Relay.Protocol.Ssh;

namespace Relay.Gateway.Proxy;

/// <summary>Last acts on channels whose connection may be over already: then there is nothing left to do.</summary>
internal static class Quietly
{
    public static async ValueTask CloseAsync(SshChannel channel)
    {
        try
        {
            await channel.CloseAsync(CancellationToken.None);
        }
        catch (IOException)
        {
            // Closed with its connection.
        }
    }
}
