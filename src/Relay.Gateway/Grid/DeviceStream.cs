using System.Net;
using System.Text.Json;
using Relay.Protocol.Grid;

namespace Relay.Gateway.Grid;

/// <summary>Reads one stream of devices of a silo, until it ends or falls silent.</summary>
internal sealed class DeviceStream(SiloLink silo, TimeProvider time)
{
    /// <summary>Subscribes and hands over each message.</summary>
    /// <param name="onHeard">Called whenever the silo has said anything, a ping too.</param>
    /// <exception cref="GridException">The silo refused, could not be reached, or fell silent.</exception>
    public async Task RunAsync(Action onHeard, Func<DevicesMessage, ValueTask> onMessage, CancellationToken cancellationToken)
    {
        using var silence = new CancellationTokenSource(ControlStream.SilenceLimit, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, silence.Token);
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, GridRoutes.Devices) { Version = HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact };
            using var response = await silo.Requests.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, both.Token);
            if (!response.IsSuccessStatusCode)
            {
                throw await GridCalls.RefusalAsync(response, both.Token);
            }

            await using var lines = await response.Content.ReadAsStreamAsync(both.Token);
            await GridLines.ReadAsync(
                lines,
                () =>
                {
                    silence.CancelAfter(ControlStream.SilenceLimit);
                    onHeard();
                },
                line => JsonSerializer.Deserialize(line.Span, GridJson.Default.DevicesMessage) is { } message ? onMessage(message) : default,
                both.Token);
        }
        catch (JsonException e)
        {
            throw new GridException("What the silo says of devices could not be read.", null, "protocol", e);
        }
        catch (HttpRequestException e)
        {
            throw GridCalls.Unreachable(e);
        }
        catch (IOException e)
        {
            throw new GridException("The silo closed the stream of devices.", null, "unreachable", e);
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw new GridException("The silo fell silent.", null, "timeout", e);
        }
    }
}
