using Relay.Protocol.Grid;
using Relay.Silo.Authorities;
using Relay.Silo.Secrets;
using Relay.Silo.Snapshots;

namespace Relay.Silo.Sessions;

/// <summary>How the gateway logs in to a target, or that there is nothing to log in to. SECURITY: what comes out holds secrets; only a granted session may ask.</summary>
internal sealed class UpstreamCredentials(IAuthorities authorities, SecretVault vault)
{
    /// <summary>Long enough to log in, too short to be worth stealing.</summary>
    public static readonly TimeSpan CertificateLifetime = TimeSpan.FromMinutes(5);

    /// <exception cref="UpstreamUnavailableException">The socket's configuration does not allow a login; the message is for the user.</exception>
    public SshUpstream Create(SessionFacts session, OrgSocket socket)
    {
        var target = socket.Target ?? throw new UpstreamUnavailableException($"socket {socket.Name} is of a kind that this version of Relay does not serve");
        if (target.Kind == SocketKind.Udp)
            throw new UpstreamUnavailableException($"socket {socket.Name} carries UDP, which is reached over WireGuard only: see relay device add");
        if (target.Kind == SocketKind.Tcp)
            return new SshUpstream(SshUpstream.Tcp, target.Describe(), "", null, null, null, []);
        if (session.Username is null && !target.UsesConnectorUser)
            throw new UpstreamUnavailableException($"socket {socket.Name} needs a user name: log in as <user>@{socket.Name}");

        var username = session.Username ?? "";
        if (target.IsBuiltIn)
        {
            var (key, certificate) = Issue(session);
            // What each connector said when it attached: these keys are as good as its token.
            var hostKeys = socket.Connectors.Select(c => c.SshHostKey).OfType<string>().Distinct(StringComparer.Ordinal).ToArray();
            return new SshUpstream("connector_built_in_ssh_service", "built-in SSH service", username, key, certificate, null, hostKeys);
        }

        var address = target.Describe();
        switch (target.Authentication)
        {
            case SshTargetAuthentication.Certificate:
                var (key, certificate) = Issue(session);
                return new SshUpstream("standard", address, username, key, certificate, null, socket.HostKeys);
            case SshTargetAuthentication.PrivateKey when Open(socket).PrivateKey is { Length: > 0 } stored:
                return new SshUpstream("standard", address, username, stored, null, null, socket.HostKeys);
            case SshTargetAuthentication.Password when Open(socket).Password is { Length: > 0 } password:
                return new SshUpstream("standard", address, username, null, null, password, socket.HostKeys);
            default:
                throw new UpstreamUnavailableException($"socket {socket.Name} has no stored {(target.Authentication == SshTargetAuthentication.Password ? "password" : "private key")}");
        }
    }

    private (string Key, string Certificate) Issue(SessionFacts session)
    {
        using var credential = authorities.IssueUpstreamCredential(session.OrganizationId, session.Email, session.Id, CertificateLifetime);
        return (credential.Key.ExportOpenSsh(session.Email), credential.Certificate.ToLine(session.Email));
    }

    private SocketSecrets Open(OrgSocket socket)
    {
        try
        {
            return vault.OpenSocket(socket.Id, socket.SealedSecrets);
        }
        catch (SecretException)
        {
            throw new UpstreamUnavailableException($"the stored credential of socket {socket.Name} cannot be opened: an administrator has to set it again");
        }
    }
}

/// <summary>A granted session cannot log in to its target; the message is for the user.</summary>
internal sealed class UpstreamUnavailableException(string message) : Exception(message);
