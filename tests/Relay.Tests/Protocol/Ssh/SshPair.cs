using Relay.Protocol.Ssh;

namespace Relay.Tests.Protocol.Ssh;

/// <summary>Keys made once for all tests of the process.</summary>
internal static class TestKeys
{
    public static readonly SshPrivateKey Host = SshPrivateKey.Generate(SshKeyKind.Ed25519);
    public static readonly SshPrivateKey HostEcdsa = SshPrivateKey.Generate(SshKeyKind.EcdsaP256);
    public static readonly SshPrivateKey HostRsa = SshPrivateKey.Generate(SshKeyKind.Rsa3072);
    public static readonly SshPrivateKey User = SshPrivateKey.Generate(SshKeyKind.Ed25519);
    public static readonly SshPrivateKey Other = SshPrivateKey.Generate(SshKeyKind.Ed25519);
}

/// <summary>Accepts one key, or what a test says; counts the calls.</summary>
internal sealed class TestAuthenticator : ISshServerAuthenticator
{
    public List<SshAuthRequest> Offered { get; } = [];

    public List<SshAuthRequest> Proven { get; } = [];

    public Func<SshAuthRequest, bool> Acceptable { get; set; } = static _ => true;

    public Func<SshAuthRequest, SshAuthOutcome> Outcome { get; set; } = static _ => SshAuthOutcome.Accept();

    public ValueTask<bool> IsAcceptableAsync(SshAuthRequest request, CancellationToken cancellationToken)
    {
        Offered.Add(request);
        return new(Acceptable(request));
    }

    public ValueTask<SshAuthOutcome> AuthenticateAsync(SshAuthRequest request, CancellationToken cancellationToken)
    {
        Proven.Add(request);
        return new(Outcome(request));
    }
}

/// <summary>Client and server connections on a memory duplex.</summary>
internal sealed class SshPair : IAsyncDisposable
{
    private SshPair(SshConnection client, SshConnection server)
    {
        Client = client;
        Server = server;
    }

    public SshConnection Client { get; }

    public SshConnection Server { get; }

    public static SshServerOptions ServerOptions { get; } = new() { HostKeys = [TestKeys.Host] };

    public static SshClientOptions ClientOptions { get; } = new()
    {
        User = "alice",
        Key = TestKeys.User,
        VerifyHostKey = static (key, _) => new(key.Key.Fingerprint == TestKeys.Host.PublicKey.Fingerprint),
    };

    public static async Task<SshPair> ConnectAsync(
        SshServerOptions? server = null,
        SshClientOptions? client = null,
        ISshServerAuthenticator? authenticator = null,
        int? seed = null,
        CancellationToken cancellationToken = default)
    {
        var (a, b) = MemoryDuplex.Create(seed);
        var accepting = SshConnection.AcceptAsync(b, server ?? ServerOptions, authenticator ?? new TestAuthenticator(), cancellationToken).AsTask();
        var connecting = SshConnection.ConnectAsync(a, client ?? ClientOptions, cancellationToken).AsTask();
        await Task.WhenAll(accepting, connecting);
        return new(await connecting, await accepting);
    }

    /// <summary>A channel from client to server, accepted.</summary>
    public async Task<(SshChannel Client, SshChannel Server)> OpenAsync(string type = "session", CancellationToken cancellationToken = default)
    {
        var opening = Client.OpenChannelAsync(type, default, cancellationToken).AsTask();
        await foreach (var incoming in Server.IncomingAsync(cancellationToken))
        {
            var accepted = await ((SshChannelOpen)incoming).AcceptAsync();
            return (await opening, accepted);
        }

        throw new InvalidOperationException("The server's connection ended.");
    }

    public async ValueTask DisposeAsync()
    {
        await Client.DisposeAsync();
        await Server.DisposeAsync();
    }
}
