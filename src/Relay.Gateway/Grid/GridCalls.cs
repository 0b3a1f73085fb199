using System.Net.Http.Json;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Relay.Protocol.Grid;

namespace Relay.Gateway.Grid;

/// <summary>One request and answer over a silo's client: a deadline, and every failure as a <see cref="GridException"/>.</summary>
internal static class GridCalls
{
    private const int MaxErrorBytes = 64 * 1024;

    public static async Task<TAnswer> PostAsync<TRequest, TAnswer>(
        HttpClient client, string path, TRequest request, JsonTypeInfo<TRequest> requestType, JsonTypeInfo<TAnswer> answerType,
        TimeSpan timeout, TimeProvider time, CancellationToken cancellationToken)
    {
        using var content = JsonContent.Create(request, requestType);
        using var response = await SendAsync(client, path, content, timeout, time, cancellationToken);
        try
        {
            return await response.Content.ReadFromJsonAsync(answerType, cancellationToken) ?? throw Protocol(null);
        }
        catch (JsonException e)
        {
            throw Protocol(e);
        }
        catch (HttpRequestException e)
        {
            throw Unreachable(e);
        }
    }

    public static async Task PostAsync<TRequest>(
        HttpClient client, string path, TRequest request, JsonTypeInfo<TRequest> requestType, TimeSpan timeout, TimeProvider time, CancellationToken cancellationToken)
    {
        using var content = JsonContent.Create(request, requestType);
        using var response = await SendAsync(client, path, content, timeout, time, cancellationToken);
    }

    /// <summary>Sends and waits for the whole answer; the caller disposes it.</summary>
    public static async Task<HttpResponseMessage> SendAsync(
        HttpClient client, string path, HttpContent content, TimeSpan timeout, TimeProvider time, CancellationToken cancellationToken)
    {
        using var deadline = new CancellationTokenSource(timeout, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, deadline.Token);
        try
        {
            var response = await client.PostAsync(path, content, both.Token);
            if (response.IsSuccessStatusCode)
            {
                return response;
            }

            using (response)
            {
                throw await RefusalAsync(response, both.Token);
            }
        }
        catch (HttpRequestException e)
        {
            throw Unreachable(e);
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            // The client has a limit of its own for connecting, which ends in this way too.
            throw new GridException(deadline.IsCancellationRequested ? $"The silo did not answer within {timeout.TotalSeconds:0} s." : "The silo cannot be connected to in time.", null, "timeout", e);
        }
    }

    /// <summary>Reads the refusal in an answer that is no success.</summary>
    public static async Task<GridException> RefusalAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        var status = response.StatusCode;
        try
        {
            if (response.Content.Headers.ContentLength is null or <= MaxErrorBytes)
            {
                await response.Content.LoadIntoBufferAsync(MaxErrorBytes, cancellationToken);
                if (await response.Content.ReadFromJsonAsync(GridJson.Default.GridError, cancellationToken) is { ErrorMessage: { Length: > 0 } text } error)
                {
                    return new GridException(text, status, error.Code ?? "refused");
                }
            }
        }
        catch (Exception e) when (e is JsonException or HttpRequestException or NotSupportedException)
        {
            return new GridException($"The silo refused ({(int)status}).", status, "refused", e);
        }

        return new GridException($"The silo refused ({(int)status}).", status, "refused");
    }

    public static GridException Unreachable(HttpRequestException e) => e.HttpRequestError switch
    {
        HttpRequestError.SecureConnectionError => new GridException("The silo's certificate is not one of this grid, or it refused ours.", null, "tls", e),
        _ => new GridException("No silo can be reached.", null, "unreachable", e),
    };

    private static GridException Protocol(Exception? e) => new("The silo's answer could not be read.", null, "protocol", e);
}
