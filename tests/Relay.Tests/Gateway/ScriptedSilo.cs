using System.Collections.Concurrent;
using System.IO.Compression;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using System.Threading.Channels;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.Logging;
using Relay.Protocol.Grid;
using Relay.Protocol.Ssh;
using Relay.Protocol.Tunnel;

namespace Relay.Tests.Gateway;

/// <summary>
/// A silo that decides what the test says: real HTTP/2 with mTLS on loopback, the routes of <see cref="GridRoutes"/>, and
/// streams that are dialled straight to a target of the test. Records everything it is asked.
/// </summary>
internal sealed class ScriptedSilo : IAsyncDisposable
{
    // As a silo does: who hears nothing for three of them gives the stream up.
    private static readonly TimeSpan s_ping = TimeSpan.FromSeconds(5);

    private readonly WebApplication _application;
    private readonly ConcurrentDictionary<Guid, Channel<ControlMessage>> _controls = new();
    private readonly ConcurrentDictionary<Guid, Channel<DevicesMessage>> _deviceStreams = new();
    private int _chunks;

    private ScriptedSilo(WebApplication application, X509Certificate2 authority, SshPrivateKey hostKey)
    {
        (_application, Authority, HostKey) = (application, authority, hostKey);
    }

    public X509Certificate2 Authority { get; }

    public SshPrivateKey HostKey { get; }

    public string Address { get; private set; } = "";

    public string AuthorityPin => GridCertificates.AuthorityPin(Authority);

    /// <summary>Where streams go.</summary>
    public EndPoint? Target { get; set; }

    /// <summary>When set, opening a stream fails so.</summary>
    public (StreamOpenError Error, string Message)? StreamFailure { get; set; }

    public Func<IdentifyRequest, IdentifyResponse> Identify { get; set; } = _ => new IdentifyResponse(true, null, null);

    public Func<OpenSessionRequest, OpenSessionResponse> Open { get; set; } =
        _ => new OpenSessionResponse(false, Guid.NewGuid(), Guid.NewGuid(), "no script", null, null, null);

    public Func<OpenFlowRequest, OpenFlowResponse> Flow { get; set; } = _ => new OpenFlowResponse(false, Guid.NewGuid(), Message: "no script");

    public Func<AuthorizeRequest, AuthorizeResponse> Authorize { get; set; } = _ => new AuthorizeResponse(true, Guid.NewGuid(), null);

    public Func<HostKeyRequest, HostKeyResponse> PinHostKey { get; set; } = _ => new HostKeyResponse(true, null);

    /// <summary>Status for a recording's chunk; 0 stores it.</summary>
    public Func<int, int> ChunkStatus { get; set; } = _ => 0;

    /// <summary>What a stream of devices begins with. Empty: there is no such route, as with an older silo.</summary>
    public IReadOnlyList<DevicesMessage> Devices { get; set; } = [];

    /// <summary>Status for the reports of devices; 0 takes them.</summary>
    public int ReportStatus { get; set; }

    public ConcurrentQueue<DeviceReports> Reports { get; } = new();

    public IReadOnlyList<string>? KnownSilos { get; set; }

    /// <summary>What the welcome announces; null: nothing, as an older silo does.</summary>
    public SiloAnnouncements? Announced { get; set; }

    /// <summary>Opens no session, as one that drains.</summary>
    public bool Draining { get; set; }

    /// <summary>Completed: requests are answered. A frozen silo takes them and stays silent.</summary>
    public TaskCompletionSource Thawed { get; set; } = Done();

    public ConcurrentQueue<IdentifyRequest> Identified { get; } = new();

    public ConcurrentQueue<OpenSessionRequest> Opened { get; } = new();

    public ConcurrentQueue<OpenFlowRequest> Flows { get; } = new();

    public ConcurrentQueue<AuthorizeRequest> Asked { get; } = new();

    public ConcurrentQueue<SessionEventRequest> Events { get; } = new();

    public ConcurrentDictionary<Guid, EndSessionRequest> Ends { get; } = new();

    public ConcurrentQueue<(int Recording, int Sequence, byte[] Gzip, string? Title, bool Last)> Chunks { get; } = new();

    public ConcurrentQueue<ControlSubscription> Subscriptions { get; } = new();

    public int Enrolments;

    public static Task<ScriptedSilo> StartAsync() =>
        StartAsync(GridCertificates.CreateAuthority("test", TimeProvider.System.GetUtcNow(), TimeSpan.FromDays(30)), SshPrivateKey.Generate(SshKeyKind.Ed25519));

    /// <summary>A second silo of the same grid.</summary>
    public static async Task<ScriptedSilo> StartAsync(X509Certificate2 authority, SshPrivateKey hostKey)
    {
        var now = TimeProvider.System.GetUtcNow();
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Logging.ClearProviders();
        var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var leaf = GridCertificates.Issue(authority, new GridPeer(GridRole.Silo, "scripted"), new PublicKey(key), now, TimeSpan.FromDays(1)).CopyWithPrivateKey(key);
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MaxRequestBodySize = null;
            kestrel.Limits.MinRequestBodyDataRate = null;
            kestrel.Limits.Http2.InitialStreamWindowSize = TunnelWire.StreamWindowBytes;
            kestrel.Limits.Http2.InitialConnectionWindowSize = 64 * 1024 * 1024;
            kestrel.Limits.Http2.MaxStreamsPerConnection = 10_000;
            kestrel.Listen(IPAddress.Loopback, 0, listen =>
            {
                listen.Protocols = HttpProtocols.Http2;
                listen.UseHttps(https =>
                {
                    https.ServerCertificate = leaf;
                    https.ClientCertificateMode = ClientCertificateMode.AllowCertificate;
                    https.ClientCertificateValidation = (certificate, _, _) =>
                        GridCertificates.TryReadIdentity(certificate, authority, TimeProvider.System.GetUtcNow(), out var peer) && peer.Role == GridRole.Gateway;
                });
            });
        });
        var application = builder.Build();
        var silo = new ScriptedSilo(application, authority, hostKey);
        application.Run(silo.ServeAsync);
        await application.StartAsync();
        silo.Address = new Uri(application.Urls.First()).Authority;
        return silo;
    }

    /// <summary>What the silo says when it wants a session ended.</summary>
    public void EndSession(Guid session, string reason)
    {
        foreach (var control in _controls.Values)
        {
            control.Writer.TryWrite(new ControlMessage("end_session", session, reason));
        }
    }

    /// <summary>Tells every gateway which silos there are.</summary>
    public void Announce(SiloAnnouncements silos)
    {
        Announced = silos;
        foreach (var control in _controls.Values)
        {
            control.Writer.TryWrite(new ControlMessage("silos", null, null, silos));
        }
    }

    /// <summary>Tells every gateway that listens of devices.</summary>
    public void Tell(DevicesMessage message)
    {
        foreach (var stream in _deviceStreams.Values)
        {
            stream.Writer.TryWrite(message);
        }
    }

    /// <summary>Ends all streams of devices.</summary>
    public void DropDeviceStreams()
    {
        foreach (var stream in _deviceStreams.Values)
        {
            stream.Writer.TryComplete();
        }
    }

    /// <summary>Ends all control streams, as a restart does.</summary>
    public void DropControlStreams()
    {
        foreach (var control in _controls.Values)
        {
            control.Writer.TryComplete();
        }
    }

    /// <summary>The asciicast lines of one recording so far.</summary>
    public string[] Recorded(int recording)
    {
        var lines = new StringBuilder();
        foreach (var chunk in Chunks.Where(c => c.Recording == recording).OrderBy(c => c.Sequence))
        {
            using var gzip = new GZipStream(new MemoryStream(chunk.Gzip), CompressionMode.Decompress);
            using var reader = new StreamReader(gzip, new UTF8Encoding(false, throwOnInvalidBytes: true));
            lines.Append(reader.ReadToEnd());
        }

        return lines.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    /// <summary>All output text of one recording.</summary>
    public string RecordedText(int recording, string code = "o") =>
        string.Concat(Recorded(recording).Skip(1).Select(l => JsonDocument.Parse(l).RootElement).Where(e => e[1].GetString() == code).Select(e => e[2].GetString()));

    public async ValueTask DisposeAsync()
    {
        DropControlStreams();
        DropDeviceStreams();
        using var hurry = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        try
        {
            await _application.StopAsync(hurry.Token);
        }
        catch (OperationCanceledException)
        {
            // Streams of the test were still open.
        }

        await _application.DisposeAsync();
    }

    private static TaskCompletionSource Done()
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        done.SetResult();
        return done;
    }

    private async Task ServeAsync(HttpContext context)
    {
        await Thawed.Task.WaitAsync(context.RequestAborted).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        var path = context.Request.Path.Value!;
        if (path == GridRoutes.Enroll)
        {
            await EnrollAsync(context);
            return;
        }

        if (!GridCertificates.TryReadIdentity(context.Connection.ClientCertificate, Authority, TimeProvider.System.GetUtcNow(), out _))
        {
            context.Response.StatusCode = 401;
            return;
        }

        var parts = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        switch (path)
        {
            case GridRoutes.Hello:
                await ReadAsync(context, GridJson.Default.GatewayHello);
                await AnswerAsync(context, new GatewayWelcome(HostKey.ExportOpenSsh("host"), KnownSilos ?? [Address], Announced), GridJson.Default.GatewayWelcome);
                break;
            case GridRoutes.Ping:
                context.Response.StatusCode = 204;
                break;
            case GridRoutes.Control:
                await ControlAsync(context);
                break;
            case GridRoutes.Devices when Devices.Count > 0:
                await DevicesAsync(context);
                break;
            case GridRoutes.Devices:
                context.Response.StatusCode = 404;
                break;
            case GridRoutes.DeviceReport:
                var reports = await ReadAsync(context, GridJson.Default.DeviceReports);
                context.Response.StatusCode = ReportStatus == 0 ? 204 : ReportStatus;
                if (ReportStatus == 0)
                    Reports.Enqueue(reports);
                break;
            case GridRoutes.Identify:
                var identify = await ReadAsync(context, GridJson.Default.IdentifyRequest);
                Identified.Enqueue(identify);
                await AnswerAsync(context, Identify(identify), GridJson.Default.IdentifyResponse);
                break;
            case GridRoutes.Sessions:
                var open = await ReadAsync(context, GridJson.Default.OpenSessionRequest);
                if (Draining)
                {
                    context.Response.StatusCode = 503;
                    await AnswerAsync(context, new GridError("this silo is shutting down", 503, "draining"), GridJson.Default.GridError);
                    break;
                }

                Opened.Enqueue(open);
                await AnswerAsync(context, Open(open), GridJson.Default.OpenSessionResponse);
                break;
            case GridRoutes.Flows:
                var flow = await ReadAsync(context, GridJson.Default.OpenFlowRequest);
                Flows.Enqueue(flow);
                await AnswerAsync(context, Flow(flow), GridJson.Default.OpenFlowResponse);
                break;
            default:
                await SessionAsync(context, Guid.Parse(parts[3]), parts);
                break;
        }
    }

    private async Task SessionAsync(HttpContext context, Guid session, string[] parts)
    {
        switch (parts[4])
        {
            case "authorize":
                var question = await ReadAsync(context, GridJson.Default.AuthorizeRequest);
                Asked.Enqueue(question);
                await AnswerAsync(context, Authorize(question), GridJson.Default.AuthorizeResponse);
                break;
            case "host_key":
                await AnswerAsync(context, PinHostKey(await ReadAsync(context, GridJson.Default.HostKeyRequest)), GridJson.Default.HostKeyResponse);
                break;
            case "events":
                Events.Enqueue(await ReadAsync(context, GridJson.Default.SessionEventRequest));
                break;
            case "end":
                Ends.TryAdd(session, await ReadAsync(context, GridJson.Default.EndSessionRequest));
                break;
            case "recordings":
                await ChunkAsync(context, parts);
                break;
            case "stream":
                await StreamAsync(context);
                break;
        }
    }

    private async Task EnrollAsync(HttpContext context)
    {
        var request = await ReadAsync(context, GridJson.Default.EnrollRequest);
        Interlocked.Increment(ref Enrolments);
        if (!GridCertificates.TryReadSigningRequest(request.CertificateSigningRequest, out var key))
        {
            context.Response.StatusCode = 422;
            return;
        }

        using var certificate = GridCertificates.Issue(Authority, new GridPeer(GridRole.Gateway, request.Name), key, TimeProvider.System.GetUtcNow(), TimeSpan.FromDays(1));
        await AnswerAsync(context, new EnrollResponse(certificate.ExportCertificatePem(), Authority.ExportCertificatePem()), GridJson.Default.EnrollResponse);
    }

    private async Task ControlAsync(HttpContext context)
    {
        var subscription = await ReadAsync(context, GridJson.Default.ControlSubscription);
        var id = Guid.NewGuid();
        var control = Channel.CreateUnbounded<ControlMessage>();
        var ping = new ControlMessage("ping", null, null);
        control.Writer.TryWrite(ping);
        _controls[id] = control;
        // Whoever sees it here can say something to it.
        Subscriptions.Enqueue(subscription);
        await using var pings = TimeProvider.System.CreateTimer(_ => control.Writer.TryWrite(ping), null, s_ping, s_ping);
        try
        {
            await foreach (var message in control.Reader.ReadAllAsync(context.RequestAborted))
            {
                await context.Response.WriteAsync(JsonSerializer.Serialize(message, GridJson.Default.ControlMessage) + "\n", context.RequestAborted);
                await context.Response.Body.FlushAsync(context.RequestAborted);
            }
        }
        catch (OperationCanceledException)
        {
            // The gateway left.
        }
        finally
        {
            _controls.TryRemove(id, out _);
        }
    }

    private async Task DevicesAsync(HttpContext context)
    {
        var id = Guid.NewGuid();
        var stream = _deviceStreams[id] = Channel.CreateUnbounded<DevicesMessage>();
        foreach (var message in Devices)
            stream.Writer.TryWrite(message);
        await using var pings = TimeProvider.System.CreateTimer(_ => stream.Writer.TryWrite(new DevicesMessage("ping")), null, s_ping, s_ping);
        try
        {
            await foreach (var message in stream.Reader.ReadAllAsync(context.RequestAborted))
            {
                await context.Response.WriteAsync(JsonSerializer.Serialize(message, GridJson.Default.DevicesMessage) + "\n", context.RequestAborted);
                await context.Response.Body.FlushAsync(context.RequestAborted);
            }
        }
        catch (OperationCanceledException)
        {
            // The gateway left.
        }
        finally
        {
            _deviceStreams.TryRemove(id, out _);
        }
    }

    private async Task ChunkAsync(HttpContext context, string[] parts)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body);
        var status = ChunkStatus(Interlocked.Increment(ref _chunks));
        if (status == 0 && Relay.Silo.Recordings.ChunkInflater.TryInflate(body.ToArray()) is null)
            status = 400;
        if (status != 0)
        {
            context.Response.StatusCode = status;
            if (status == StatusCodes.Status409Conflict)
                await AnswerAsync(context, new GridError("an earlier chunk is missing", status, "gap"), GridJson.Default.GridError);
            return;
        }

        var title = context.Request.Query["title"].FirstOrDefault();
        Chunks.Enqueue((int.Parse(parts[5]), int.Parse(parts[7]), body.ToArray(), title, context.Request.Query["last"] == "true"));
    }

    private async Task StreamAsync(HttpContext context)
    {
        if (StreamFailure is var (error, message))
        {
            DuplexExchange.Refuse(context, error, message);
            return;
        }

        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(Target!);
        }
        catch (SocketException)
        {
            DuplexExchange.Refuse(context, StreamOpenError.Refused, $"connector \"test\" could not connect to {Target}: connection refused");
            return;
        }

        await using var target = new SocketDuplexStream(socket);
        await using var user = await DuplexExchange.AcceptAsync(context);
        await StreamPump.RunAsync(user, target);
    }

    private static async Task<T> ReadAsync<T>(HttpContext context, JsonTypeInfo<T> type) =>
        (await JsonSerializer.DeserializeAsync(context.Request.Body, type))!;

    private static async Task AnswerAsync<T>(HttpContext context, T answer, JsonTypeInfo<T> type)
    {
        context.Response.ContentType = "application/json";
        await JsonSerializer.SerializeAsync(context.Response.Body, answer, type);
    }
}
