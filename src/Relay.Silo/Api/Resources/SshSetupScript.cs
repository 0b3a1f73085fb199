namespace Relay.Silo.Api.Resources;

/// <summary>The script of <c>relay org ssh-setup</c>: makes a target's sshd trust the organization's SSH CA. Idempotent.</summary>
internal static class SshSetupScript
{
    private const string Template = """
        #!/bin/sh
        # Makes this machine's sshd accept Relay's certificates. Run as root; running it again changes nothing.
        set -eu
        etc=${RELAY_SSH_DIR:-/etc/ssh}
        config=$etc/sshd_config
        [ -f "$config" ] || { echo "Error: $config does not exist: install an OpenSSH server first" >&2; exit 1; }
        printf '%s\n' '{CA}' > "$etc/relay-ca.pub.new"
        printf '%s\n' '{PRINCIPAL}' > "$etc/relay_principals.new"
        chmod 644 "$etc/relay-ca.pub.new" "$etc/relay_principals.new"
        mv "$etc/relay-ca.pub.new" "$etc/relay-ca.pub"
        mv "$etc/relay_principals.new" "$etc/relay_principals"
        if grep -Eiq '^[[:space:]]*TrustedUserCAKeys[[:space:]]' "$config" && ! grep -Fq "TrustedUserCAKeys $etc/relay-ca.pub" "$config"; then
          echo "Error: $config has another TrustedUserCAKeys: add the line of $etc/relay-ca.pub to that file yourself" >&2; exit 1
        fi
        if ! grep -Fq "TrustedUserCAKeys $etc/relay-ca.pub" "$config"; then
          cp -p "$config" "$config.before-relay"
          # First, because sshd takes the first value it reads, and a Match block further down would swallow what follows.
          { printf '# Relay\nTrustedUserCAKeys %s/relay-ca.pub\nAuthorizedPrincipalsFile %s/relay_principals\n' "$etc" "$etc"; cat "$config.before-relay"; } > "$config"
        fi
        sshd=$(command -v sshd || echo /usr/sbin/sshd)
        if ! "$sshd" -t -f "$config"; then
          [ ! -f "$config.before-relay" ] || cp -p "$config.before-relay" "$config"
          echo "Error: sshd refuses the new configuration; the old one is back" >&2; exit 1
        fi
        if [ "$etc" = /etc/ssh ]; then
          systemctl reload ssh 2>/dev/null || systemctl reload sshd 2>/dev/null || service ssh reload 2>/dev/null || service sshd reload 2>/dev/null \
            || { [ -f /run/sshd.pid ] && kill -HUP "$(cat /run/sshd.pid)"; } || echo "Reload sshd yourself: it was not found running" >&2
        fi
        echo "This sshd accepts Relay's certificates."

        """;

    /// <param name="caLine">OpenSSH line of the CA; base64 and our own comment, so nothing in it needs quoting but the quotes themselves.</param>
    public static string For(string caLine) => Template
        .Replace("{CA}", caLine.Replace("'", "'\\''", StringComparison.Ordinal), StringComparison.Ordinal)
        .Replace("{PRINCIPAL}", Authorities.AuthorityLimits.UpstreamPrincipal, StringComparison.Ordinal)
        .ReplaceLineEndings("\n");
}
