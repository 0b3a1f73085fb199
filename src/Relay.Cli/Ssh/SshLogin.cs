using Relay.Api;
using Relay.Cli.Client;
using Relay.Protocol.Ssh;

namespace Relay.Cli.Ssh;

/// <summary>
/// What the system's ssh needs to reach a gateway, kept under <c>~/.relay/ssh</c>: a key made here that never leaves,
/// the certificate the grid signed for it, and the gateways' host key. The certificate is renewed shortly before it ends.
/// </summary>
internal sealed class SshLogin
{
    /// <summary>The one name all gateways share in known_hosts: with anycast, any of them may answer.</summary>
    public const string HostKeyAlias = "relay-gateway";

    private static readonly TimeSpan s_renewBefore = TimeSpan.FromMinutes(2);

    private SshLogin(UserState state, ClientGateway gateway)
    {
        Folder = state.SshFolder;
        Gateway = gateway;
    }

    public string Folder { get; }

    /// <summary>The gateway to dial.</summary>
    public ClientGateway Gateway { get; }

    public string KeyFile => Path.Combine(Folder, "id_ed25519");

    public string CertificateFile => Path.Combine(Folder, "id_ed25519-cert.pub");

    public string KnownHostsFile => Path.Combine(Folder, "known_hosts");

    public (string Host, int Port) Address => SplitAddress(Gateway.SshAddress);

    /// <summary>Makes sure that key, certificate and host keys are there and good for at least two more minutes.</summary>
    public static async Task<SshLogin> PrepareAsync(CommandContext context, ApiClient api, TimeProvider time, CancellationToken cancellationToken)
    {
        var gateways = (await api.GetAsync(ApiRoutes.ClientGateways, ApiJson.Default.ClientGateways, cancellationToken)).Value;
        if (gateways.Gateways.Count == 0)
            throw new CliException(ExitCode.Error, "no gateway is connected to the grid. Start one, or see its log for why it cannot connect.");
        var login = new SshLogin(context.State, gateways.Gateways[0]);
        await login.EnsureCertificateAsync(context.State, api, time, cancellationToken);
        UserState.WritePrivate(login.KnownHostsFile, $"{HostKeyAlias} {gateways.HostKey.Trim()}\n");
        return login;
    }

    /// <summary>ssh options that make it use exactly this identity and trust exactly this host key.</summary>
    public IEnumerable<string> Options() =>
    [
        "-o", $"IdentityFile={KeyFile}",
        "-o", $"CertificateFile={CertificateFile}",
        "-o", "IdentitiesOnly=yes",
        "-o", $"UserKnownHostsFile={KnownHostsFile}",
        "-o", "GlobalKnownHostsFile=none",
        "-o", $"HostKeyAlias={HostKeyAlias}",
        "-o", "StrictHostKeyChecking=yes",
    ];

    private async Task EnsureCertificateAsync(UserState state, ApiClient api, TimeProvider time, CancellationToken cancellationToken)
    {
        using var key = LoadOrCreateKey(state);
        if (CertificateIsGood(key.PublicKey, time.GetUtcNow()))
            return;
        var answer = await api.PostAsync(ApiRoutes.ClientSshCertificate, new SshCertificateRequest { PublicKey = key.PublicKey.ToLine("relay") },
            ApiJson.Default.SshCertificateRequest, ApiJson.Default.SshCertificateResponse, cancellationToken);
        UserState.WritePrivate(CertificateFile, answer.Value.Certificate.TrimEnd() + "\n");
    }

    private SshPrivateKey LoadOrCreateKey(UserState state)
    {
        if (File.Exists(KeyFile) && SshPrivateKey.TryImport(File.ReadAllText(KeyFile), out var existing, out _))
            return existing;
        var key = SshPrivateKey.Generate(SshKeyKind.Ed25519);
        UserState.WritePrivate(KeyFile, key.ExportOpenSsh("relay"));
        return key;
    }

    private bool CertificateIsGood(SshPublicKey key, DateTimeOffset now) =>
        File.Exists(CertificateFile)
        && SshCertificate.TryParseLine(File.ReadAllText(CertificateFile), out var certificate, out _, out _)
        && certificate.Key.Blob.Span.SequenceEqual(key.Blob.Span)
        && certificate.ValidBefore - s_renewBefore > now
        // A login as somebody else must not go on with the old user's certificate: logout removes the folder.
        && certificate.ValidAfter <= now;

    private static (string Host, int Port) SplitAddress(string address)
    {
        var colon = address.LastIndexOf(':');
        return colon > 0 && int.TryParse(address.AsSpan(colon + 1), out var port)
            ? (address[..colon].Trim('[', ']'), port)
            : throw new CliException(ExitCode.Error, $"the grid announces a gateway at '{address}', which is not host:port.");
    }
}
