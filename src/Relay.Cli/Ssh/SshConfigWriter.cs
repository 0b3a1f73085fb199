namespace Relay.Cli.Ssh;

/// <summary>
/// The configuration for plain ssh, scp, sftp, rsync and git. It holds paths and fixed words only, never text a server
/// sent (L19): which socket is meant travels as ssh's own <c>%h</c> to <c>relay client proxy</c>, which checks it.
/// </summary>
internal static class SshConfigWriter
{
    public static string Write(string relay, string sshFolder, Uri api, string suffix)
    {
        foreach (var path in new[] { relay, sshFolder })
            if (path.Any(c => char.IsControl(c) || c is '"' or '\\' or '%' or '$' or '`'))
                throw new CliException(ExitCode.Error, $"'{path}' cannot be written into an ssh configuration: it holds a quote, backslash, %, $ or control character.");
        var address = api.GetLeftPart(UriPartial.Authority);
        return $"""
            # Relay: `ssh [user@]SOCKET.{suffix}`, and scp, sftp, rsync, git likewise. Made by `relay client ssh-config`.
            # The first block renews the certificate when it is about to end; no host name is handed to a shell.
            Match originalhost *.{suffix} exec "'{relay}' client ssh-config --renew --api {address}"
            Host *.{suffix}
              ProxyCommand '{relay}' client proxy --stdio --api {address} %h
              IdentityFile "{sshFolder}/id_ed25519"
              CertificateFile "{sshFolder}/id_ed25519-cert.pub"
              IdentitiesOnly yes
              UserKnownHostsFile "{sshFolder}/known_hosts"
              GlobalKnownHostsFile none
              HostKeyAlias {SshLogin.HostKeyAlias}
              StrictHostKeyChecking yes

            """;
    }
}
