using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json.Serialization.Metadata;
using Relay.Silo.Grid;

namespace Relay.Silo.Fencing;

/// <summary>
/// Short questions to one peer, on a connection of their own: payload must not delay them, and a connection that stalls is given up
/// at once, so that a peer that is back is heard at the next question. Safe for concurrent use. Caller disposes.
/// </summary>
internal sealed class PeerLink(SiloLinks links, string address, TimeProvider time) : IDisposable
{
    private HttpMessageInvoker? _client;

    /// <summary>Null: no answer in time, or none that could be understood.</summary>
    public async Task<TAnswer?> AskAsync<TQuestion, TAnswer>(
        string route, TQuestion question, JsonTypeInfo<TQuestion> questionType, JsonTypeInfo<TAnswer> answerType, TimeSpan deadline, CancellationToken cancellationToken)
        where TAnswer : class
    {
        var client = _client ?? Interlocked.CompareExchange(ref _client, links.Dial(address, deadline), null) ?? _client!;
        using var late = new CancellationTokenSource(deadline, time);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellationToken);
        using var request = new HttpRequestMessage(HttpMethod.Post, $"https://{address}{route}")
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = JsonContent.Create(question, questionType, new MediaTypeHeaderValue("application/json")),
        };
        try
        {
            using var response = await client.SendAsync(request, stop.Token);
            return response.StatusCode == HttpStatusCode.OK ? await response.Content.ReadFromJsonAsync(answerType, stop.Token) : null;
        }
        catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException or System.Text.Json.JsonException)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (Interlocked.CompareExchange(ref _client, null, client) == client) client.Dispose();
            return null;
        }
    }

    public void Dispose() => Interlocked.Exchange(ref _client, null)?.Dispose();
}
