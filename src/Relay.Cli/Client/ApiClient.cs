using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Relay.Cli.Client;

/// <summary>An answer of the API: the typed value and the JSON exactly as it came.</summary>
internal readonly record struct ApiAnswer<T>(T Value, string Json);

/// <summary>
/// The REST API as the CLI sees it. Every refusal becomes a <see cref="CliException"/> whose text says what was wrong
/// and, where there is one, the next step; its exit code follows the status.
/// </summary>
internal sealed class ApiClient : IDisposable
{
    private readonly HttpClient _http;
    private readonly Uri _api;

    public ApiClient(Uri api, string? token)
    {
        if (api.Scheme != Uri.UriSchemeHttps && !api.IsLoopback)
            throw new CliException(ExitCode.Usage, $"{api} would send your token in clear text. Use https, or an address of this machine.");
        _api = api;
        _http = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, ConnectTimeout = TimeSpan.FromSeconds(10) })
        {
            BaseAddress = api,
            Timeout = TimeSpan.FromSeconds(60),
        };
        if (token is not null)
            _http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        _http.DefaultRequestHeaders.UserAgent.Add(new ProductInfoHeaderValue("relay-cli", typeof(ApiClient).Assembly.GetName().Version?.ToString(3)));
    }

    public Task<ApiAnswer<T>> GetAsync<T>(string path, JsonTypeInfo<T> type, CancellationToken cancellationToken) =>
        SendAsync(HttpMethod.Get, path, null, type, cancellationToken);

    public Task<ApiAnswer<T>> PostAsync<TBody, T>(string path, TBody body, JsonTypeInfo<TBody> bodyType, JsonTypeInfo<T> type, CancellationToken cancellationToken) =>
        SendAsync(HttpMethod.Post, path, Body(body, bodyType), type, cancellationToken);

    public Task<ApiAnswer<T>> PutAsync<TBody, T>(string path, TBody body, JsonTypeInfo<TBody> bodyType, JsonTypeInfo<T> type, CancellationToken cancellationToken) =>
        SendAsync(HttpMethod.Put, path, Body(body, bodyType), type, cancellationToken);

    public Task<ApiAnswer<T>> PatchAsync<TBody, T>(string path, TBody body, JsonTypeInfo<TBody> bodyType, JsonTypeInfo<T> type, CancellationToken cancellationToken) =>
        SendAsync(HttpMethod.Patch, path, Body(body, bodyType), type, cancellationToken);

    /// <summary>A call whose answer is not needed as a value; gives the JSON text (empty for 204).</summary>
    public async Task<string> SendAsync(HttpMethod method, string path, HttpContent? body, CancellationToken cancellationToken)
    {
        using var response = await ExchangeAsync(method, path, body, HttpCompletionOption.ResponseContentRead, cancellationToken);
        return await response.Content.ReadAsStringAsync(cancellationToken);
    }

    public Task<string> DeleteAsync(string path, CancellationToken cancellationToken) =>
        SendAsync(HttpMethod.Delete, path, null, cancellationToken);

    /// <summary>A body as it flows, for recordings. The caller disposes the response.</summary>
    public Task<HttpResponseMessage> DownloadAsync(string path, CancellationToken cancellationToken) =>
        ExchangeAsync(HttpMethod.Get, path, null, HttpCompletionOption.ResponseHeadersRead, cancellationToken);

    public static StringContent Body<T>(T value, JsonTypeInfo<T> type) =>
        new(JsonSerializer.Serialize(value, type), Encoding.UTF8, "application/json");

    public static string Segment(string name) => Uri.EscapeDataString(name);

    public void Dispose() => _http.Dispose();

    private async Task<ApiAnswer<T>> SendAsync<T>(HttpMethod method, string path, HttpContent? body, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        var json = await SendAsync(method, path, body, cancellationToken);
        try
        {
            var value = JsonSerializer.Deserialize(json, type) ?? throw new JsonException("null");
            return new ApiAnswer<T>(value, json);
        }
        catch (JsonException e)
        {
            throw new CliException(ExitCode.Error, $"{_api} answered {method} {path} with something this version does not understand ({e.Message}). Is it a Relay API?");
        }
    }

    private async Task<HttpResponseMessage> ExchangeAsync(HttpMethod method, string path, HttpContent? body, HttpCompletionOption completion, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(method, path) { Content = body };
        HttpResponseMessage response;
        try
        {
            response = await _http.SendAsync(request, completion, cancellationToken);
        }
        catch (HttpRequestException e)
        {
            throw new ApiAwayException($"cannot reach the API at {_api} ({e.InnerException?.Message ?? e.Message}). Is the silo running? Set another address with --api or RELAY_API.");
        }
        catch (TaskCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new ApiAwayException($"the API at {_api} did not answer within {_http.Timeout.TotalSeconds:0} s.");
        }
        if (response.IsSuccessStatusCode)
            return response;
        using (response)
            throw await RefusalAsync(response, cancellationToken);
    }

    private static async Task<CliException> RefusalAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        var text = await response.Content.ReadAsStringAsync(cancellationToken);
        var message = $"the API answered {(int)response.StatusCode} {response.ReasonPhrase}";
        try
        {
            using var document = JsonDocument.Parse(text);
            var root = document.RootElement;
            if (root.TryGetProperty("error_message", out var sentence) && sentence.GetString() is { } said)
                message = said;
            if (root.TryGetProperty("details", out var details) && details.ValueKind == JsonValueKind.Array)
                foreach (var detail in details.EnumerateArray())
                    message += $"\n  {Field(detail, "field")}: {Field(detail, "message")}";
        }
        catch (JsonException)
        {
            // Not ours (a proxy's page): the status line is all that can be said.
        }
        return response.StatusCode switch
        {
            HttpStatusCode.Unauthorized => new CliException(ExitCode.NotLoggedIn, message.Contains("log", StringComparison.OrdinalIgnoreCase) ? message : $"{message}. Log in with: relay login"),
            HttpStatusCode.Forbidden => new CliException(ExitCode.Denied, message),
            HttpStatusCode.NotFound => new CliException(ExitCode.NotFound, message),
            HttpStatusCode.TooManyRequests => new CliException(ExitCode.Error, $"{message} Try again in {response.Headers.RetryAfter?.Delta?.TotalSeconds ?? 60:0} s."),
            HttpStatusCode.BadGateway or HttpStatusCode.ServiceUnavailable or HttpStatusCode.GatewayTimeout => new ApiAwayException(message),
            _ => new CliException(ExitCode.Error, message),
        };

        static string Field(JsonElement element, string name) =>
            element.TryGetProperty(name, out var value) ? Output.Render.Printable(value.ToString()) : "";
    }
}
