namespace Relay.Protocol.Ssh;

/// <summary>
/// Decides about users. Calls for one connection never overlap. The token ends with the login grace time.
/// </summary>
public interface ISshServerAuthenticator
{
    /// <summary>
    /// A key is offered without a signature, RFC 4252 §7 (answered PK_OK or a failure). True says that this key would be
    /// tried, nothing more: the client has proven nothing.
    /// </summary>
    ValueTask<bool> IsAcceptableAsync(SshAuthRequest request, CancellationToken cancellationToken);

    /// <summary>
    /// Called only after the signature over the session id was verified with the request's own key (L4); with
    /// <see cref="SshServerOptions.AsksAboutNone"/> also for method "none", which has no key and proves nothing by itself.
    /// </summary>
    ValueTask<SshAuthOutcome> AuthenticateAsync(SshAuthRequest request, CancellationToken cancellationToken);
}
