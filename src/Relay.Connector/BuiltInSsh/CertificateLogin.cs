using Relay.Protocol.Ssh;

namespace Relay.Connector.BuiltInSsh;

/// <summary>Lets in certificates of one authority, for users of this machine.</summary>
internal sealed class CertificateLogin(SshPublicKey authority, TimeProvider time) : ISshServerAuthenticator
{
    /// <summary>Who was let in; null before.</summary>
    public LocalUser? User { get; private set; }

    // Any certificate may be tried: only who proves to hold its key is told what is wrong with it.
    public ValueTask<bool> IsAcceptableAsync(SshAuthRequest request, CancellationToken cancellationToken) => new(request.Certificate is not null);

    public ValueTask<SshAuthOutcome> AuthenticateAsync(SshAuthRequest request, CancellationToken cancellationToken)
    {
        if (Reason(request, out var user) is { } reason)
            return new(SshAuthOutcome.Fail(reason + "\n"));
        User = user;
        return new(SshAuthOutcome.Accept());
    }

    // Null: nothing speaks against it. A certificate limited to one command is refused: this service has no such mode (L6).
    private string? Reason(SshAuthRequest request, out LocalUser? user)
    {
        user = null;
        if (request.Certificate is not { } certificate)
            return "The built-in SSH service takes certificates of the organization's SSH CA only.";
        var check = certificate.Check(SshCertificateKind.User, authority, time.GetUtcNow(), BuiltInSshService.Principal, source: null);
        if (check != SshCertificateCheck.Valid)
            return $"The certificate is not valid here: {check}.";
        if (certificate.CriticalOptions.Count > 0)
            return "The certificate is restricted in a way the built-in SSH service cannot keep.";
        var name = request.User.Length > 0 && request.User != "-" ? request.User : LocalUser.Current.Name;
        user = LocalUser.Find(name);
        if (user is null)
            return $"There is no user '{name}' on the connector's host.";
        return user.CanBeLoggedIn ? null : $"The connector runs as {LocalUser.Current.Name} and cannot log in '{name}'.";
    }
}
