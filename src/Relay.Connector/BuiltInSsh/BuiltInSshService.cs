using Microsoft.Extensions.Logging;
using Relay.Protocol.Ssh;

namespace Relay.Connector.BuiltInSsh;

/// <summary>
/// A shell on the connector's host without any sshd: certificates of the organization's SSH CA log in users of this
/// machine; real pseudo-terminals, real processes. The host key lives as long as the process: the silo learns it at
/// every attach over the authenticated tunnel, and gateways accept that one only.
/// </summary>
public sealed class BuiltInSshService : IBuiltInSshService, IDisposable
{
    /// <summary>The principal a certificate has to name, as on every target.</summary>
    public const string Principal = "relay_ssh_signed";

    private readonly SshPrivateKey _hostKey = SshPrivateKey.Generate(SshKeyKind.Ed25519);
    private readonly ILogger _logger;
    private readonly TimeProvider _time;

    /// <summary>Makes the host key.</summary>
    public BuiltInSshService(ILogger logger, TimeProvider time)
    {
        _logger = logger;
        _time = time;
    }

    /// <inheritdoc/>
    public string HostKeyLine => _hostKey.PublicKey.ToLine();

    /// <summary>The connector's own user; root can log in others as well, which are not enumerated.</summary>
    public IReadOnlyList<string> Users { get; } = [LocalUser.Current.Name];

    /// <inheritdoc/>
    public async Task ServeAsync(Stream stream, BuiltInSshContext context, CancellationToken cancellationToken)
    {
        if (!SshPublicKey.TryParseLine(context.SshCa, out var authority, out _, out var error))
            throw new InvalidDataException($"The silo's SSH CA cannot be read: {error}");
        var authenticator = new CertificateLogin(authority, _time);
        SshConnection connection;
        try
        {
            connection = await SshConnection.AcceptAsync(stream, new SshServerOptions { HostKeys = [_hostKey], TimeProvider = _time }, authenticator, cancellationToken);
        }
        catch (SshException e)
        {
            BuiltInSshLog.LoginFailed(_logger, context.SessionId, e.Message);
            return;
        }
        await using (connection)
        {
            BuiltInSshLog.LoggedIn(_logger, context.SessionId, authenticator.User!.Name);
            await new BuiltInConnection(connection, authenticator.User, context.SessionId, _logger).RunAsync(cancellationToken);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _hostKey.Dispose();
}
