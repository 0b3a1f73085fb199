using System.Net.Http.Headers;
using Relay.Protocol.Grid;
using Relay.Protocol.Tunnel;

namespace Relay.Gateway.Grid;

/// <summary>
/// What a gateway asks of one silo. Requests and byte streams use different connections, so that a bulk transfer does not
/// delay a decision. Safe for concurrent use.
/// </summary>
internal sealed class SiloLink : IDisposable
{
    private static readonly TimeSpan s_decision = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_delivery = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_open = TunnelWire.OpenDeadline + TimeSpan.FromSeconds(2);
    private static readonly MediaTypeHeaderValue s_gzip = new("application/gzip");

    private readonly TimeProvider _time;
    private readonly HttpClient _requests;
    private readonly HttpMessageInvoker _streams;

    /// <param name="address">Grid address "host:port".</param>
    public SiloLink(string address, Func<GatewayCredential> credential, TimeProvider time)
    {
        (Address, _time) = (address, time);
        _requests = GridTransport.CreateMutual(address, credential, time);
        _streams = GridTransport.CreateStreams(credential, time);
    }

    public string Address { get; }

    /// <summary>The client that the control stream is opened with.</summary>
    public HttpClient Requests => _requests;

    public Task<GatewayWelcome> HelloAsync(GatewayHello hello, CancellationToken cancellationToken) =>
        GridCalls.PostAsync(_requests, GridRoutes.Hello, hello, GridJson.Default.GatewayHello, GridJson.Default.GatewayWelcome, s_decision, _time, cancellationToken);

    /// <summary>Returns when the silo has answered anything: one of an older version does not know the route, but lives.</summary>
    /// <exception cref="GridException">It did not, in time.</exception>
    public async Task PingAsync(TimeSpan deadline, CancellationToken cancellationToken)
    {
        using var late = new CancellationTokenSource(deadline, _time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellationToken);
        try
        {
            using var response = await _requests.GetAsync(GridRoutes.Ping, both.Token);
        }
        catch (HttpRequestException e)
        {
            throw GridCalls.Unreachable(e);
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw new GridException("The silo did not answer a ping.", null, "timeout", e);
        }
    }

    public Task<IdentifyResponse> IdentifyAsync(IdentifyRequest request, CancellationToken cancellationToken) =>
        GridCalls.PostAsync(_requests, GridRoutes.Identify, request, GridJson.Default.IdentifyRequest, GridJson.Default.IdentifyResponse, s_decision, _time, cancellationToken);

    public Task<OpenSessionResponse> OpenSessionAsync(OpenSessionRequest request, CancellationToken cancellationToken) =>
        GridCalls.PostAsync(_requests, GridRoutes.Sessions, request, GridJson.Default.OpenSessionRequest, GridJson.Default.OpenSessionResponse, s_decision, _time, cancellationToken);

    public Task<OpenFlowResponse> OpenFlowAsync(OpenFlowRequest request, CancellationToken cancellationToken) =>
        GridCalls.PostAsync(_requests, GridRoutes.Flows, request, GridJson.Default.OpenFlowRequest, GridJson.Default.OpenFlowResponse, s_decision, _time, cancellationToken);

    public Task<ResolveResponse> ResolveAsync(ResolveRequest request, CancellationToken cancellationToken) =>
        GridCalls.PostAsync(_requests, GridRoutes.Resolve, request, GridJson.Default.ResolveRequest, GridJson.Default.ResolveResponse, s_decision, _time, cancellationToken);

    public Task<AuthorizeResponse> AuthorizeAsync(Guid session, AuthorizeRequest request, CancellationToken cancellationToken) =>
        GridCalls.PostAsync(_requests, GridRoutes.Authorize(session), request, GridJson.Default.AuthorizeRequest, GridJson.Default.AuthorizeResponse, s_decision, _time, cancellationToken);

    public Task<HostKeyResponse> HostKeyAsync(Guid session, HostKeyRequest request, CancellationToken cancellationToken) =>
        GridCalls.PostAsync(_requests, GridRoutes.HostKey(session), request, GridJson.Default.HostKeyRequest, GridJson.Default.HostKeyResponse, s_decision, _time, cancellationToken);

    public Task ReportEventAsync(Guid session, SessionEventRequest request, CancellationToken cancellationToken) =>
        GridCalls.PostAsync(_requests, GridRoutes.Events(session), request, GridJson.Default.SessionEventRequest, s_delivery, _time, cancellationToken);

    public Task EndSessionAsync(Guid session, EndSessionRequest request, CancellationToken cancellationToken) =>
        GridCalls.PostAsync(_requests, GridRoutes.End(session), request, GridJson.Default.EndSessionRequest, s_delivery, _time, cancellationToken);

    public Task ReportDevicesAsync(DeviceReports reports, CancellationToken cancellationToken) =>
        GridCalls.PostAsync(_requests, GridRoutes.DeviceReport, reports, GridJson.Default.DeviceReports, s_delivery, _time, cancellationToken);

    /// <summary>Stores one chunk of a recording; idempotent.</summary>
    public async Task StoreChunkAsync(Guid session, int recording, int sequence, ReadOnlyMemory<byte> gzip, string? title, bool last, CancellationToken cancellationToken)
    {
        var query = (last ? "last=true" : "") + (title is null ? "" : (last ? "&" : "") + "title=" + Uri.EscapeDataString(title));
        var path = GridRoutes.RecordingChunk(session, recording, sequence) + (query.Length > 0 ? "?" + query : "");
        using var content = new ReadOnlyMemoryContent(gzip);
        content.Headers.ContentType = s_gzip;
        using var response = await GridCalls.SendAsync(_requests, path, content, s_delivery, _time, cancellationToken);
    }

    /// <summary>Opens the byte stream to the session's target; returns when the connector has reached it.</summary>
    /// <exception cref="StreamOpenException">Names the hop that failed.</exception>
    public async Task<DuplexStream> OpenStreamAsync(Guid session, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(_requests.BaseAddress!, GridRoutes.Stream(session)));
        return await DuplexHttpStream.OpenAsync(_streams, request, s_open, _time, cancellationToken);
    }

    public void Dispose()
    {
        _requests.Dispose();
        _streams.Dispose();
    }
}
