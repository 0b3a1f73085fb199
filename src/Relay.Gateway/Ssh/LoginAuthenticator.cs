using System.Net;
using Relay.Gateway.Access;
using Relay.Gateway.Grid;
using Relay.Gateway.Hosting;
using Relay.Gateway.Sessions;
using Relay.Protocol.Grid;
using Relay.Protocol.Ssh;

namespace Relay.Gateway.Ssh;

/// <summary>
/// Logs one connection in: the silo says who a proven key, or the device whose tunnel it came through, is and whether the socket may be used;
/// the login name only routes. A session exists from the moment a proven key was allowed, and never before (L4). One per connection.
/// </summary>
/// <param name="preset">The socket that was named beforehand, asked for once somebody logs in; null: the login name names it.</param>
/// <param name="device">Null: the user's key says who it is. Otherwise keys play no part.</param>
internal sealed class LoginAuthenticator(
    Func<string?> preset, DeviceLogin? device, IPEndPoint client, SiloPool silos, GatewayMetrics metrics, TimeProvider time, Action<GatewaySession> onOpened)
    : ISshServerAuthenticator
{
    private readonly HashSet<string> _acceptable = [];

    /// <summary>The session that was opened; whoever runs the connection ends it.</summary>
    public GatewaySession? Session { get; private set; }

    public async ValueTask<bool> IsAcceptableAsync(SshAuthRequest request, CancellationToken cancellationToken)
    {
        if (device is not null)
        {
            // Whichever key: the device is what counts.
            return true;
        }

        if (BlobOf(request) is not { } blob)
        {
            return false;
        }

        try
        {
            var (_, answer) = await silos.AskAsync(
                (silo, ct) => silo.IdentifyAsync(new IdentifyRequest(blob, client.Address.ToString(), Proven: false), ct), cancellationToken);
            if (answer.Known)
            {
                _acceptable.Add(blob);
                return true;
            }

            // An offered key can not be answered with text. For a certificate that does not hold, let the client prove it: then it is told why.
            return request.Certificate is not null && answer.Message is not null;
        }
        catch (GridException)
        {
            // Nobody can be asked now; told when the key is proven.
            return true;
        }
    }

    public async ValueTask<SshAuthOutcome> AuthenticateAsync(SshAuthRequest request, CancellationToken cancellationToken)
    {
        // SECURITY: without a device nothing but a key, whose signature was verified, proves anybody.
        if ((device is null ? BlobOf(request) : "") is not { } blob)
        {
            return SshAuthOutcome.Fail();
        }

        try
        {
            if (device is null && !_acceptable.Contains(blob))
            {
                var (_, who) = await silos.AskAsync(
                    (silo, ct) => silo.IdentifyAsync(new IdentifyRequest(blob, client.Address.ToString(), Proven: true), ct), cancellationToken);
                if (!who.Known)
                {
                    return SshAuthOutcome.Fail(who.Message is null ? null : Banner(who.Message));
                }
            }

            if (!LoginName.TryParse(request.User, preset(), out var login, out var error))
            {
                return SshAuthOutcome.Disconnect(Banner(error), UserText.Line(error));
            }

            return await OpenAsync(request, blob, login, cancellationToken);
        }
        catch (GridException e) when (e.Status is HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden)
        {
            return SshAuthOutcome.Fail(Banner(e.Message));
        }
        catch (GridException e)
        {
            var text = $"Relay can not decide now: {e.Message} Try again in a moment.";
            return SshAuthOutcome.Disconnect(Banner(text), UserText.Line(text));
        }
    }

    private async ValueTask<SshAuthOutcome> OpenAsync(SshAuthRequest request, string blob, LoginName login, CancellationToken cancellationToken)
    {
        var question = new OpenSessionRequest(blob, login.Socket, login.UpstreamUser, client.Address.ToString(), client.Port, UserText.Line(request.ClientVersion), device?.Device);
        var (silo, answer) = await silos.AskAsync((link, ct) => link.OpenSessionAsync(question, ct), cancellationToken);
        if (!answer.Allowed || answer.Upstream is null)
        {
            metrics.OnSessionDenied();
            var message = answer.Message ?? $"Access to {login.Socket} is denied (decision {answer.DecisionId}).";
            return SshAuthOutcome.Disconnect(Banner(message), $"access to {login.Socket} denied, decision {answer.DecisionId}");
        }

        metrics.OnSessionOpened();
        Session = new GatewaySession(silo, silos, login, answer, time);
        onOpened(Session);
        return SshAuthOutcome.Accept(answer.Message is null ? null : Banner(answer.Message));
    }

    private static string Banner(string text) => System.Text.Encoding.UTF8.GetString(UserText.TerminalLines(text));

    // A certificate travels whole: who signed it and for whom is the silo's to judge.
    private static string? BlobOf(SshAuthRequest request) =>
        request.Certificate is { } certificate ? Convert.ToBase64String(certificate.Blob.Span)
        : request.Key is { } key ? Convert.ToBase64String(key.Blob.Span)
        : null;
}
