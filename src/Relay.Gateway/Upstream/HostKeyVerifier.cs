using Relay.Gateway.Grid;
using Relay.Gateway.Sessions;
using Relay.Protocol.Grid;
using Relay.Protocol.Ssh;

namespace Relay.Gateway.Upstream;

/// <summary>
/// Decides about one target's host key: one of the accepted keys, a certificate of an accepted host CA, or, when nothing is
/// pinned yet, the silo's word (it pins for an administrator). For one connection.
/// </summary>
internal sealed class HostKeyVerifier
{
    private const string AuthorityMarker = "@cert-authority";

    private static readonly string[] s_signatures = ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256"];

    private readonly GatewaySession _session;
    private readonly List<SshPublicKey> _keys = [];
    private readonly List<SshPublicKey> _authorities = [];
    private readonly bool _pinned;

    public HostKeyVerifier(GatewaySession session)
    {
        _session = session;
        foreach (var line in session.Upstream.HostKeys)
        {
            // A line that can not be read still says that something was pinned: it never widens what is accepted.
            _pinned = true;
            if (line.StartsWith(AuthorityMarker, StringComparison.Ordinal))
            {
                AddAuthority(line[AuthorityMarker.Length..].Trim());
            }
            else if (SshPublicKey.TryParseLine(line, out var key, out _, out _))
            {
                _keys.Add(key);
            }
        }
    }

    /// <summary>Why <see cref="VerifyAsync"/> said no; null before.</summary>
    public string? Refusal { get; private set; }

    /// <summary>Signature algorithms to ask the target for, so that it shows a key that can be accepted; null: any.</summary>
    public IReadOnlyList<string>? Algorithms
    {
        get
        {
            string[] pinned = [.. _keys.SelectMany(k => k.SignatureAlgorithms).Distinct().Intersect(s_signatures)];
            if (pinned.Length == 0)
            {
                return null;
            }

            return _authorities.Count == 0 ? pinned : [.. s_signatures.Select(s => s + "-cert-v01@openssh.com"), .. pinned];
        }
    }

    public async ValueTask<bool> VerifyAsync(SshHostKey presented, CancellationToken cancellationToken)
    {
        if (_keys.Exists(k => k.Blob.Span.SequenceEqual(presented.Key.Blob.Span)))
        {
            return true;
        }

        if (presented.Certificate is { } certificate && _authorities.Count > 0)
        {
            var now = _session.Time.GetUtcNow();
            var host = TargetHost();
            return _authorities.Exists(a => certificate.Check(SshCertificateKind.Host, a, now, host, null) == SshCertificateCheck.Valid)
                || Refuse($"its host certificate ({certificate.KeyId}) is not one of the accepted host CAs for {host}");
        }

        if (_pinned)
        {
            return Refuse(
                $"its host key ({presented.Key.KeyType} {presented.Key.Fingerprint}) is not one of the keys pinned for this socket. "
                + "If the target was reinstalled, an administrator updates the socket's host keys; otherwise somebody is in between");
        }

        try
        {
            var answer = await _session.Silo.HostKeyAsync(_session.Id, new HostKeyRequest(presented.Key.ToLine()), cancellationToken);
            return answer.Accepted || Refuse(answer.Message ?? $"its host key ({presented.Key.KeyType} {presented.Key.Fingerprint}) is not pinned yet; an administrator has to connect first");
        }
        catch (GridException e)
        {
            return Refuse($"its host key could not be checked: {e.Message}");
        }
    }

    private bool Refuse(string reason)
    {
        Refusal = reason;
        return false;
    }

    // "@cert-authority [host pattern] type blob [comment]": the socket names the host already, so the pattern adds nothing.
    private void AddAuthority(string rest)
    {
        if (SshPublicKey.TryParseLine(rest, out var key, out _, out _)
            || (rest.IndexOf(' ') is var space and > 0 && SshPublicKey.TryParseLine(rest[(space + 1)..].TrimStart(), out key, out _, out _)))
        {
            _authorities.Add(key);
        }
    }

    private string TargetHost()
    {
        var target = _session.Upstream.Target;
        var colon = target.LastIndexOf(':');
        return (colon < 0 ? target : target[..colon]).Trim('[', ']');
    }
}
