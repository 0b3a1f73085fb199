namespace Relay.TestKit.Processes;

/// <summary>A stock sshd set up as the documentation says: it trusts the organization's SSH CA and the principal relay_ssh_signed.</summary>
public static class TargetSshd
{
    /// <param name="sshCa">The organization's SSH CA, an OpenSSH line.</param>
    /// <param name="authorizedKeys">authorized_keys lines besides; none unless a test adds one.</param>
    public static Task<SshdServer> StartAsync(string sshCa, params string[] authorizedKeys) => SshdServer.StartAsync(
        ["TrustedUserCAKeys {dir}/ca.pub", "AuthorizedPrincipalsFile {dir}/principals", "AcceptEnv *"],
        new Dictionary<string, string>
        {
            ["ca.pub"] = sshCa.Trim() + "\n",
            ["principals"] = "relay_ssh_signed\n",
            ["authorized_keys"] = string.Concat(authorizedKeys.Select(k => k.Trim() + "\n")),
        });

    /// <summary>The host key that sockets of the tests pin.</summary>
    public static string HostKey(this SshdServer server) => string.Join(' ', server.HostKeyLine("ed25519").Split(' ').Take(2));
}
