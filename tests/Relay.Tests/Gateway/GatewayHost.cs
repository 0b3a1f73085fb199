using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using Relay.Gateway.Grid;
using Relay.Gateway.Hosting;
using Relay.Protocol.Grid;
using Relay.Protocol.Ssh;
using Relay.TestKit;

namespace Relay.Tests.Gateway;

/// <summary>
/// A gateway in this process between a real ssh client and a real sshd, with a scripted silo: allows everything unless told otherwise.
/// </summary>
internal sealed class GatewayHost : IAsyncDisposable
{
    public const string SocketName = "db-host";

    private readonly TempDir _directory = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly SshPrivateKey _authority = SshPrivateKey.Generate(SshKeyKind.EcdsaP256);
    private readonly SshPrivateKey _userKey = SshPrivateKey.Generate(SshKeyKind.Ed25519);
    private GatewayRuntime? _gateway;
    private Task _running = Task.CompletedTask;

    private GatewayHost(ScriptedSilo silo) => Silo = silo;

    public ScriptedSilo Silo { get; }

    public SshdServer? Sshd { get; private set; }

    public GatewayRuntime Gateway => _gateway!;

    public RecordingSettings Recording { get; set; } = new(Enabled: true, Input: false);

    public DateTimeOffset? EndsAt { get; set; }

    /// <summary>Ids of the sessions the silo has opened, oldest first.</summary>
    public List<Guid> Sessions { get; } = [];

    public Guid LastSession
    {
        get
        {
            lock (Sessions)
            {
                return Sessions[^1];
            }
        }
    }

    public string UserKeyFile => _directory.File("id");

    /// <param name="sshd">More lines of sshd_config.</param>
    public static async Task<GatewayHost> StartAsync(IEnumerable<string>? sshd = null, Func<GatewayOptions, GatewayOptions>? configure = null, bool withSshd = true)
    {
        var host = new GatewayHost(await ScriptedSilo.StartAsync());
        host._directory.Write("id", host._userKey.ExportOpenSsh("user"));
        if (withSshd)
        {
            host.Sshd = await SshdServer.StartAsync(
                ["TrustedUserCAKeys {dir}/ca.pub", "AuthorizedPrincipalsFile {dir}/principals", "AcceptEnv *", .. sshd ?? []],
                new Dictionary<string, string> { ["ca.pub"] = host._authority.PublicKey.ToLine("ca"), ["principals"] = "relay_ssh_signed\n" },
                TestContext.Current.CancellationToken);
            host.Silo.Target = new IPEndPoint(IPAddress.Loopback, host.Sshd.Port);
        }

        await host.StartGatewayAsync(configure);
        return host;
    }

    /// <summary>Options of ssh, scp and sftp that make them use this gateway and nothing of the machine.</summary>
    public IEnumerable<string> ClientOptions(string portOption = "-p", string? login = null) =>
    [
        "-F", "none", "-o", "IdentitiesOnly=yes", "-i", UserKeyFile, "-o", $"UserKnownHostsFile={_directory.File("known_hosts")}", "-o", "StrictHostKeyChecking=yes",
        "-o", "BatchMode=yes", "-o", "ConnectTimeout=20", portOption, $"{Gateway.SshEndPoint.Port}",
        "-o", $"User={login ?? $"{SshdServer.User}@{SocketName}"}",
    ];

    /// <summary>Runs ssh with options before and a command after the host.</summary>
    public Task<CommandResult> SshAsync(IEnumerable<string> options, IEnumerable<string> command, ReadOnlyMemory<byte> input = default, string? login = null, IReadOnlyDictionary<string, string?>? environment = null) =>
        Command.RunAsync("ssh", [.. ClientOptions(login: login), .. options, "127.0.0.1", .. command], environment, input, cancellationToken: Deadline);

    public Task<CommandResult> SshAsync(params string[] command) => SshAsync([], command);

    /// <summary>A scripted user: our own client, logged in at the gateway.</summary>
    public Task<SshConnection> ConnectAsync() => ConnectAsync(new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true });

    /// <summary>As above on a socket that the test may cut.</summary>
    public async Task<SshConnection> ConnectAsync(Socket socket)
    {
        await socket.ConnectAsync(Gateway.SshEndPoint, Deadline);
        return await SshConnection.ConnectAsync(
            new NetworkStream(socket, ownsSocket: true),
            new SshClientOptions
            {
                User = $"{SshdServer.User}@{SocketName}",
                Key = _userKey,
                VerifyHostKey = (key, _) => new(key.Key.Blob.Span.SequenceEqual(Silo.HostKey.PublicKey.Blob.Span)),
            },
            Deadline);
    }

    /// <summary>The test's own token, bounded.</summary>
    public static CancellationToken Deadline
    {
        get
        {
            var bounded = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
            bounded.CancelAfter(TimeSpan.FromSeconds(120));
            return bounded.Token;
        }
    }

    /// <summary>Waits for a condition; the failure shows the state.</summary>
    public static Task UntilAsync(Func<bool> condition, Func<string>? state = null) => Eventually.TrueAsync(condition, state ?? (() => "the condition of the test"));

    /// <summary>Waits until the silo has been told the end of a session.</summary>
    public async Task<EndSessionRequest> EndOfAsync(Guid session)
    {
        await UntilAsync(() => Silo.Ends.ContainsKey(session), () => $"{Gateway.SessionCount} sessions live");
        return Silo.Ends[session];
    }

    /// <summary>What the silo hands out for a session: a fresh key, certified for the target.</summary>
    public OpenSessionResponse Allow()
    {
        var session = Guid.NewGuid();
        lock (Sessions)
        {
            Sessions.Add(session);
        }

        return new OpenSessionResponse(true, session, Guid.NewGuid(), null, Upstream(), Recording, EndsAt);
    }

    public SshUpstream Upstream()
    {
        using var key = SshPrivateKey.Generate(SshKeyKind.EcdsaP256);
        var now = TimeProvider.System.GetUtcNow();
        var certificate = new SshCertificateBuilder
        {
            Key = key.PublicKey,
            Kind = SshCertificateKind.User,
            Serial = 1,
            KeyId = "ann@example.com",
            ValidAfter = now.AddMinutes(-1),
            ValidBefore = now.AddMinutes(5),
        };
        certificate.Principals.Add("relay_ssh_signed");
        foreach (var extension in new[] { "permit-pty", "permit-port-forwarding", "permit-agent-forwarding" })
        {
            certificate.Extensions[extension] = [];
        }

        return new SshUpstream(
            "standard", $"127.0.0.1:{Sshd?.Port ?? 22}", SshdServer.User, key.ExportOpenSsh("ephemeral"), certificate.Sign(_authority).ToLine("ephemeral"), null,
            Sshd is null ? [] : [Sshd.HostKeyLine("ed25519")]);
    }

    /// <summary>Certifies the user's key, as a login does, and returns the file.</summary>
    public string WriteUserCertificate()
    {
        var now = TimeProvider.System.GetUtcNow();
        var certificate = new SshCertificateBuilder
        {
            Key = _userKey.PublicKey,
            Kind = SshCertificateKind.User,
            Serial = 7,
            KeyId = "ann@example.com",
            ValidAfter = now.AddMinutes(-5),
            ValidBefore = now.AddHours(1),
        };
        certificate.Principals.Add(Guid.NewGuid().ToString());
        return _directory.Write("id-cert.pub", certificate.Sign(_authority).ToLine("ann"));
    }

    /// <summary>What SIGTERM does.</summary>
    public async Task StopAsync()
    {
        await _stop.CancelAsync();
        await _running;
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        await Gateway.DisposeAsync();
        await Silo.DisposeAsync();
        if (Sshd is not null)
        {
            await Sshd.DisposeAsync();
        }

        _directory.Dispose();
        _authority.Dispose();
        _userKey.Dispose();
    }

    private async Task StartGatewayAsync(Func<GatewayOptions, GatewayOptions>? configure)
    {
        Silo.Identify = request => new IdentifyResponse(Convert.FromBase64String(request.PublicKey).AsSpan().SequenceEqual(_userKey.PublicKey.Blob.Span), null, null);
        Silo.Open = _ => Allow();
        var options = new GatewayOptions
        {
            TokenFile = "unused",
            Name = "edge",
            SshListen = "127.0.0.1:0",
            StateDirectory = _directory.Path,
            DrainTime = TimeSpan.Zero,
        };
        options = configure?.Invoke(options) ?? options;
        _gateway = new GatewayRuntime(options, new GatewayToken("token", Silo.AuthorityPin, [Silo.Address]), TimeProvider.System, NullLoggerFactory.Instance);
        await _gateway.StartAsync(TestContext.Current.CancellationToken);
        _running = _gateway.RunAsync(_stop.Token);
        await UntilAsync(() => _gateway.IsReady);
        _directory.Write("known_hosts", $"[127.0.0.1]:{_gateway.SshEndPoint.Port} {Silo.HostKey.PublicKey.ToLine()}\n");
    }
}
