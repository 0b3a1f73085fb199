using Relay.Gateway.Access;
using Relay.Protocol.Ssh;

namespace Relay.Gateway.Upstream;

/// <summary>
/// A logged-in connection to a session's target. It opens nothing without a permit of the same session, each permit once:
/// the connection underneath is not reachable from outside (L22).
/// </summary>
internal sealed class UpstreamConnection(SshConnection connection, Guid session) : IAsyncDisposable
{
    /// <summary>Ends when the target or the way to it is gone.</summary>
    public Task Completion => connection.Completion;

    /// <summary>Why it ended; null while it lives, or after an orderly end.</summary>
    public SshException? Error => connection.Error;

    /// <summary>True after an end in the middle of something.</summary>
    public bool IsCut => connection.IsCut;

    public string Version => connection.PeerVersion;

    /// <exception cref="SshChannelOpenException">The target refused.</exception>
    public ValueTask<SshChannel> OpenAsync(ChannelPermit permit, string channelType, ReadOnlyMemory<byte> typeData, CancellationToken cancellationToken)
    {
        if (permit.Session.Id != session || !permit.TryUse())
        {
            throw new InvalidOperationException("A permit opens one channel, in its own session.");
        }

        return connection.OpenChannelAsync(channelType, typeData, cancellationToken);
    }

    /// <summary>What the target wants from the user's side: agent channels, announcements.</summary>
    public IAsyncEnumerable<SshIncoming> IncomingAsync(CancellationToken cancellationToken) => connection.IncomingAsync(cancellationToken);

    public ValueTask CloseAsync() => connection.DisconnectAsync(SshDisconnectReason.ByApplication, "session ended");

    public ValueTask DisposeAsync() => connection.DisposeAsync();
}
