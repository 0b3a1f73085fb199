using System.Text.Json;
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

    private SshLogin(string folder, ClientGateway gateway, string hostKey)
    {
        Folder = folder;
        HostKey = hostKey;
        Gateway = gateway;
    }

    public string Folder { get; }

    /// <summary>The one host key that gateways have: type and key of an OpenSSH line.</summary>
    public string HostKey { get; }

    /// <summary>The gateway to dial.</summary>
    public ClientGateway Gateway { get; }

    public string KeyFile => Path.Combine(Folder, "id_ed25519");

    public string CertificateFile => Path.Combine(Folder, "id_ed25519-cert.pub");

    public string KnownHostsFile => Path.Combine(Folder, "known_hosts");

    public (string Host, int Port) Address => SplitAddress(Gateway.SshAddress);

    /// <summary>
    /// Makes sure that key, certificate and host keys are there and good for at least two more minutes. While the API cannot answer, what was
    /// known last is enough as long as the certificate lasts: gateways admit whoever has one.
    /// </summary>
    public static async Task<SshLogin> PrepareAsync(CommandContext context, ApiClient api, TimeProvider time, CancellationToken cancellationToken)
    {
        var folder = context.State.SshFolder;
        ApiAnswer<ClientGateways> answer;
        try
        {
            answer = await api.GetAsync(ApiRoutes.ClientGateways, ApiJson.Default.ClientGateways, cancellationToken);
        }
        catch (ApiAwayException)
        {
            if (Known(folder) is { } known && known.HasGoodCertificate(time.GetUtcNow()))
                return known;
            throw;
        }

        var gateways = answer.Value;
        if (gateways.Gateways.Count == 0)
            throw new CliException(ExitCode.Error, "no gateway is connected to the grid. Start one, or see its log for why it cannot connect.");
        var login = new SshLogin(folder, gateways.Gateways[0], gateways.HostKey.Trim());
        await login.EnsureCertificateAsync(api, time, cancellationToken);
        UserState.WritePrivate(login.KnownHostsFile, $"{HostKeyAlias} {gateways.HostKey.Trim()}\n");
        UserState.WritePrivate(GatewaysFile(folder), answer.Json);
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

    /// <summary>The user's key; the caller disposes it.</summary>
    public SshPrivateKey LoadKey() => SshPrivateKey.TryImport(File.ReadAllText(KeyFile), out var key, out var error)
        ? key
        : throw new CliException(ExitCode.Error, $"{KeyFile} cannot be read: {error}");

    public SshCertificate LoadCertificate() => SshCertificate.TryParseLine(File.ReadAllText(CertificateFile), out var certificate, out _, out var error)
        ? certificate
        : throw new CliException(ExitCode.Error, $"{CertificateFile} cannot be read: {error}");

    private static string GatewaysFile(string folder) => Path.Combine(folder, "gateways.json");

    /// <summary>What the grid answered last; null: nothing that can be used.</summary>
    private static SshLogin? Known(string folder)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllText(GatewaysFile(folder)), ApiJson.Default.ClientGateways) is { Gateways: [var gateway, ..] } known ? new SshLogin(folder, gateway, known.HostKey.Trim()) : null;
        }
        catch (Exception e) when (e is IOException or JsonException)
        {
            return null;
        }
    }

    private bool HasGoodCertificate(DateTimeOffset now)
    {
        if (!File.Exists(KeyFile) || !SshPrivateKey.TryImport(File.ReadAllText(KeyFile), out var key, out _))
            return false;
        using (key)
            return CertificateIsGood(key.PublicKey, now, TimeSpan.Zero);
    }

    private async Task EnsureCertificateAsync(ApiClient api, TimeProvider time, CancellationToken cancellationToken)
    {
        using var key = LoadOrCreateKey();
        if (CertificateIsGood(key.PublicKey, time.GetUtcNow(), s_renewBefore))
            return;
        var answer = await api.PostAsync(ApiRoutes.ClientSshCertificate, new SshCertificateRequest { PublicKey = key.PublicKey.ToLine("relay") },
            ApiJson.Default.SshCertificateRequest, ApiJson.Default.SshCertificateResponse, cancellationToken);
        UserState.WritePrivate(CertificateFile, answer.Value.Certificate.TrimEnd() + "\n");
    }

    private SshPrivateKey LoadOrCreateKey()
    {
        if (File.Exists(KeyFile) && SshPrivateKey.TryImport(File.ReadAllText(KeyFile), out var existing, out _))
            return existing;
        var key = SshPrivateKey.Generate(SshKeyKind.Ed25519);
        UserState.WritePrivate(KeyFile, key.ExportOpenSsh("relay"));
        return key;
    }

    private bool CertificateIsGood(SshPublicKey key, DateTimeOffset now, TimeSpan atLeast) =>
        File.Exists(CertificateFile)
        && SshCertificate.TryParseLine(File.ReadAllText(CertificateFile), out var certificate, out _, out _)
        && certificate.Key.Blob.Span.SequenceEqual(key.Blob.Span)
        // A login as somebody else must not go on with the old user's certificate: logout removes the folder.
        && certificate.ValidBefore - atLeast > now
        && certificate.ValidAfter <= now;

    private static (string Host, int Port) SplitAddress(string address)
    {
        var colon = address.LastIndexOf(':');
        return colon > 0 && int.TryParse(address.AsSpan(colon + 1), out var port)
            ? (address[..colon].Trim('[', ']'), port)
            : throw new CliException(ExitCode.Error, $"the grid announces a gateway at '{address}', which is not host:port.");
    }
}
