using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using Relay.Chaos.Network;

namespace Relay.Chaos.Grid;

/// <summary>The REST API as the administrator, on whichever silo answers. Safe for concurrent use.</summary>
internal sealed class AdminApi : IDisposable
{
    private static readonly JsonSerializerOptions s_json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = System.Text.Json.Serialization.JsonIgnoreCondition.WhenWritingNull };
    private static readonly IPEndPoint s_listen = new(IPAddress.Loopback, 8080);
    private readonly Dictionary<string, HttpClient> _silos;

    public AdminApi(NodeNetwork network, IEnumerable<string> silos) => _silos = silos.ToDictionary(s => s, s => new HttpClient(new SocketsHttpHandler
    {
        PooledConnectionIdleTimeout = TimeSpan.FromSeconds(5),
        ConnectCallback = async (_, cancellationToken) => await network.ConnectAsync(s, s_listen, cancellationToken),
    })
    { BaseAddress = new Uri("http://127.0.0.1:8080"), Timeout = TimeSpan.FromSeconds(8) });

    public async Task LogInAsync(string password)
    {
        var answer = await SendAsync(HttpMethod.Post, "login", new { email = "admin@relay.local", password });
        foreach (var silo in _silos.Values)
            silo.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", answer.GetProperty("token").GetString());
    }

    /// <summary>The answer of the first silo that gives one.</summary>
    /// <param name="path">Below /api/v1.</param>
    /// <exception cref="HttpRequestException">None did, or the request is refused.</exception>
    public async Task<JsonElement> SendAsync(HttpMethod method, string path, object? body = null)
    {
        var text = await TextAsync(method, path, body);
        return text.Length == 0 ? default : JsonDocument.Parse(text).RootElement.Clone();
    }

    /// <inheritdoc cref="SendAsync"/>
    public async Task<string> TextAsync(HttpMethod method, string path, object? body = null)
    {
        Exception? last = null;
        foreach (var (name, silo) in _silos)
        {
            try
            {
                using var request = new HttpRequestMessage(method, $"/api/v1/{path}");
                if (body is not null)
                    request.Content = JsonContent.Create(body, options: s_json);
                using var response = await silo.SendAsync(request);
                var text = await response.Content.ReadAsStringAsync();
                if (response.IsSuccessStatusCode)
                    return text;
                var refusal = new HttpRequestException($"{name}: {method} {path}: {(int)response.StatusCode} {text}", null, response.StatusCode);
                if ((int)response.StatusCode < 500)
                    throw refusal;
                last = refusal;
            }
            catch (HttpRequestException e) when (e.StatusCode is null or >= HttpStatusCode.InternalServerError)
            {
                last = e;
            }
            catch (TaskCanceledException e)
            {
                last = e;
            }
            catch (InvalidOperationException e)
            {
                last = e;
            }
        }

        throw new HttpRequestException($"{method} {path}: no silo answers: {last?.Message}", last);
    }

    public void Dispose()
    {
        foreach (var silo in _silos.Values)
            silo.Dispose();
    }
}
