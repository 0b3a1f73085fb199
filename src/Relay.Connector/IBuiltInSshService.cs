namespace Relay.Connector;

/// <summary>The connector's own SSH service, reached through <c>built-in-ssh</c> streams. Safe for concurrent use.</summary>
public interface IBuiltInSshService
{
    /// <summary>OpenSSH public key line of the service's host key; told to the silo at every attach.</summary>
    string HostKeyLine { get; }

    /// <summary>Users of this machine that it can log in; told to the silo at every attach.</summary>
    IReadOnlyList<string> Users { get; }

    /// <summary>Serves one SSH connection until it is over. The caller disposes the stream.</summary>
    /// <param name="stream">A <see cref="Relay.Protocol.Tunnel.DuplexStream"/>: bytes of one SSH connection.</param>
    /// <param name="context">What the silo says about it.</param>
    /// <param name="cancellationToken">The connector stops.</param>
    Task ServeAsync(Stream stream, BuiltInSshContext context, CancellationToken cancellationToken);
}

/// <summary>What the silo says about a built-in SSH connection.</summary>
/// <param name="SshCa">The organization's SSH CA (OpenSSH line): only certificates it signed may log in.</param>
/// <param name="SessionId">The session the connection belongs to.</param>
public sealed record BuiltInSshContext(string SshCa, Guid SessionId);
