using System.Net.Http.Json;
using System.Text.Json;
using Relay.Protocol.Grid;

namespace Relay.Gateway.Grid;

/// <summary>Reads one control stream of a silo: lines of JSON until it ends or falls silent.</summary>
internal sealed class ControlStream(SiloLink silo, ISessionControl sessions, TimeProvider time)
{
    /// <summary>A silo pings every 5 s; three missed pings end the stream, and a new one is opened.</summary>
    public static readonly TimeSpan SilenceLimit = TimeSpan.FromSeconds(15);

    /// <summary>Subscribes and runs until the stream ends.</summary>
    /// <param name="onSubscribed">Called once, when the silo has answered.</param>
    /// <param name="onAnnounced">Called with each announcement of silos.</param>
    /// <exception cref="GridException">The silo refused, could not be reached, or fell silent.</exception>
    public async Task RunAsync(Action onSubscribed, Action<SiloAnnouncements> onAnnounced, CancellationToken cancellationToken)
    {
        using var silence = new CancellationTokenSource(SilenceLimit, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, silence.Token);
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, GridRoutes.Control)
            {
                Version = silo.Requests.DefaultRequestVersion,
                VersionPolicy = silo.Requests.DefaultVersionPolicy,
                Content = JsonContent.Create(new ControlSubscription(sessions.SessionsAt(silo.Address)), GridJson.Default.ControlSubscription),
            };
            using var response = await silo.Requests.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, both.Token);
            if (!response.IsSuccessStatusCode)
            {
                throw await GridCalls.RefusalAsync(response, both.Token);
            }

            onSubscribed();
            await using var lines = await response.Content.ReadAsStreamAsync(both.Token);
            await GridLines.ReadAsync(
                lines,
                () => silence.CancelAfter(SilenceLimit),
                line =>
                {
                    Handle(line.Span, onAnnounced);
                    return default;
                },
                both.Token);
        }
        catch (HttpRequestException e)
        {
            throw GridCalls.Unreachable(e);
        }
        catch (IOException e)
        {
            throw new GridException("The silo closed the control stream.", null, "unreachable", e);
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw new GridException("The silo fell silent.", null, "timeout", e);
        }
    }

    private void Handle(ReadOnlySpan<byte> line, Action<SiloAnnouncements> onAnnounced)
    {
        try
        {
            // A type this version does not know is not for it.
            switch (JsonSerializer.Deserialize(line, GridJson.Default.ControlMessage))
            {
                case { Type: "end_session", SessionId: { } session } message:
                    sessions.EndSession(session, message.Reason ?? "ended by the grid");
                    break;
                case { Type: "silos", Silos: { } silos }:
                    onAnnounced(silos);
                    break;
            }
        }
        catch (JsonException e)
        {
            throw new GridException("The silo's control line could not be read.", null, "protocol", e);
        }
    }
}
