using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Relay.Protocol.Grid;
using Relay.Protocol.Tunnel;

namespace Relay.Tests.Silo.Grid;

/// <summary>A client of a silo's grid port, with whatever certificate it has.</summary>
internal sealed class TestPeer : IDisposable
{
    private static readonly TimeSpan OpenDeadline = TimeSpan.FromSeconds(40);
    private readonly HttpClient _client;

    /// <param name="context">What it presents; null: nothing.</param>
    public TestPeer(string address, X509Certificate2 ca, SslStreamCertificateContext? context)
    {
        Address = address;
        _client = new HttpClient(new SocketsHttpHandler
        {
            SslOptions = new SslClientAuthenticationOptions
            {
                EnabledSslProtocols = SslProtocols.Tls13,
                ClientCertificateContext = context,
                RemoteCertificateValidationCallback = (_, leaf, _, _) =>
                    GridCertificates.TryReadIdentity(leaf as X509Certificate2, ca, TimeProvider.System.GetUtcNow(), out var peer) && peer.Role == GridRole.Silo,
            },
            InitialHttp2StreamWindowSize = 4 * 1024 * 1024,
        })
        {
            BaseAddress = new Uri($"https://{address}"),
            DefaultRequestVersion = HttpVersion.Version20,
            DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Timeout = Timeout.InfiniteTimeSpan,
        };
    }

    public string Address { get; }

    public static SslStreamCertificateContext WithKey(X509Certificate2 leaf, ECDsa key, params X509Certificate2[] chain) =>
        SslStreamCertificateContext.Create(leaf.CopyWithPrivateKey(key), [.. chain], offline: true);

    public Task<HttpResponseMessage> PostAsync(string path, HttpContent? content = null) =>
        _client.PostAsync(path, content, TestContext.Current.CancellationToken);

    public Task<HttpResponseMessage> PostAsync<T>(string path, T message, JsonTypeInfo<T> type) =>
        PostAsync(path, new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(message, type)));

    public async Task<TAnswer> AskAsync<T, TAnswer>(string path, T message, JsonTypeInfo<T> type, JsonTypeInfo<TAnswer> answerType)
    {
        using var response = await PostAsync(path, message, type);
        var body = await response.Content.ReadAsByteArrayAsync(TestContext.Current.CancellationToken);
        Assert.True(response.IsSuccessStatusCode, $"{path}: {(int)response.StatusCode} {System.Text.Encoding.UTF8.GetString(body)}");
        return JsonSerializer.Deserialize(body, answerType)!;
    }

    public Task<IdentifyResponse> IdentifyAsync(ReadOnlyMemory<byte> key, bool proven = true, string ip = "192.0.2.1") =>
        AskAsync(GridRoutes.Identify, new IdentifyRequest(Convert.ToBase64String(key.Span), ip, proven), GridJson.Default.IdentifyRequest, GridJson.Default.IdentifyResponse);

    public Task<OpenSessionResponse> OpenAsync(ReadOnlyMemory<byte> key, string socket, string? user = null) =>
        AskAsync(GridRoutes.Sessions, new OpenSessionRequest(Convert.ToBase64String(key.Span), socket, user, "192.0.2.1", 40000, "SSH-2.0-test"), GridJson.Default.OpenSessionRequest, GridJson.Default.OpenSessionResponse);

    public Task<AuthorizeResponse> AuthorizeAsync(Guid session, AuthorizeRequest request) =>
        AskAsync(GridRoutes.Authorize(session), request, GridJson.Default.AuthorizeRequest, GridJson.Default.AuthorizeResponse);

    public Task<HttpResponseMessage> EndAsync(Guid session, string outcome = "closed by user", long up = 1, long down = 2) =>
        PostAsync(GridRoutes.End(session), new EndSessionRequest(outcome, up, down), GridJson.Default.EndSessionRequest);

    public async Task<DuplexStream> StreamAsync(Guid session)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(_client.BaseAddress!, GridRoutes.Stream(session)));
        return await DuplexHttpStream.OpenAsync(_client, request, OpenDeadline, TimeProvider.System, TestContext.Current.CancellationToken);
    }

    /// <summary>Subscribes and reads the first ping, so the subscription stands when this returns.</summary>
    public async Task<ControlLines> ControlAsync(params Guid[] sessions)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, GridRoutes.Control)
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(new ControlSubscription(sessions), GridJson.Default.ControlSubscription)),
        };
        var response = await _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        var lines = new ControlLines(response, new StreamReader(await response.Content.ReadAsStreamAsync(TestContext.Current.CancellationToken)));
        Assert.Equal("ping", (await lines.NextAsync())?.Type);
        return lines;
    }

    /// <summary>Opens the stream of devices; what it has said is read from the start.</summary>
    public async Task<StreamReader> DevicesAsync()
    {
        var response = await _client.GetAsync(GridRoutes.Devices, HttpCompletionOption.ResponseHeadersRead, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        return new StreamReader(await response.Content.ReadAsStreamAsync(TestContext.Current.CancellationToken));
    }

    public void Dispose() => _client.Dispose();

    /// <summary>A control stream, line by line.</summary>
    internal sealed class ControlLines(HttpResponseMessage response, StreamReader reader) : IDisposable
    {
        /// <summary>Null: the stream has ended.</summary>
        public async Task<ControlMessage?> NextAsync() =>
            await reader.ReadLineAsync(TestContext.Current.CancellationToken) is { } line ? JsonSerializer.Deserialize(line, GridJson.Default.ControlMessage) : null;

        /// <summary>The next order; pings and announcements left out.</summary>
        public async Task<ControlMessage?> NextOrderAsync()
        {
            while (true)
            {
                var message = await NextAsync();
                if (message is not { Type: "ping" or "silos" })
                    return message;
            }
        }

        public void Dispose() => response.Dispose();
    }
}
