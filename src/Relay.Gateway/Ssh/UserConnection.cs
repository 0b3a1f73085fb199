using System.Net;
using Microsoft.Extensions.Logging;
using Relay.Gateway.Grid;
using Relay.Gateway.Hosting;
using Relay.Gateway.Proxy;
using Relay.Gateway.Sessions;
using Relay.Gateway.Upstream;
using Relay.Protocol.Ssh;

namespace Relay.Gateway.Ssh;

/// <summary>Serves users' connections from the first byte to the end of the session. Safe for concurrent use: one instance for all.</summary>
internal sealed partial class UserConnection(
    GatewayOptions options, SiloPool silos, LiveSessions live, SessionClosing closing, UpstreamConnector upstreams, GatewayMetrics metrics, TimeProvider time, ILogger<UserConnection> logger)
{
    // OpenSSH's client speaks its extensions only to a server whose version begins with this word. One of them,
    // eow@openssh.com, is how "ssh host yes | head -n 1" ends: without it the client discards output for ever.
    private const string SoftwareVersion = "OpenSSH_Relay_0.1";

    /// <summary>Serves one connection; owns <paramref name="stream"/>. Never throws.</summary>
    /// <param name="client">Where the user is; for a device its address outside of the tunnel.</param>
    /// <param name="device">Whose tunnel it came through; null: none, and its first bytes may be a preface.</param>
    /// <param name="place">Given back as soon as the user is logged in.</param>
    /// <param name="cut">Cancelled when a newer connection needs this one's place, or at shutdown, before login.</param>
    public async Task RunAsync(Stream stream, IPEndPoint client, DeviceLogin? device, IReadOnlyList<SshPrivateKey> hostKeys, StartupBudget.Ticket place, CancellationToken cut)
    {
        // SECURITY: a device dialled one socket's address and was allowed that one; its first bytes do not choose another.
        var preface = device is null ? new PrefaceStream(stream) : null;
        await using var transport = preface ?? stream;
        using var gone = new CancellationTokenSource();
        Task<UpstreamConnection>? upstream = null;
        var authenticator = new LoginAuthenticator(() => preface is null ? device?.Socket : preface.Socket, device, client, silos, metrics, time, session =>
        {
            live.Add(session);

            // The target is reached while the user's own login completes; a raw one when there is a connection to it.
            upstream = session.IsRaw ? null : upstreams.ConnectAsync(session, gone.Token);
        });
        SessionEnd end = SessionEnd.ConnectionLost;
        try
        {
            var user = await LogInAsync(transport, authenticator, device is not null, hostKeys, cut);
            place.Dispose();
            if (user is not null && authenticator.Session is { } session)
            {
                LogOpened(logger, session.Id, session.Login.Socket, session.Silo.Address, client.ToString());
                end = await new SessionProxy(user, session, upstream, metrics, time).RunAsync();
            }
        }
        catch (Exception e)
        {
            // A fault of ours ends one connection, never the process (L14).
            LogFailed(logger, e);
            end = new SessionEnd("failed in the gateway", null);
        }
        finally
        {
            place.Dispose();
            if (authenticator.Session is { } session)
            {
                session.End(end);
                await gone.CancelAsync();
                await DropAsync(upstream);
                await session.Events.FlushAsync();
                await closing.RunAsync(session, await session.Ended);
            }
        }
    }

    private async Task<SshConnection?> LogInAsync(Stream transport, LoginAuthenticator authenticator, bool isProven, IReadOnlyList<SshPrivateKey> hostKeys, CancellationToken cut)
    {
        try
        {
            return await SshConnection.AcceptAsync(
                transport,
                new SshServerOptions
                {
                    HostKeys = hostKeys,
                    SoftwareVersion = SoftwareVersion,
                    AsksAboutNone = isProven,
                    LoginGraceTime = options.LoginGraceTime,
                    MaxChannels = options.MaxChannels,
                    KeepAliveInterval = options.KeepAliveInterval,
                    TimeProvider = time,
                },
                authenticator,
                cut);
        }
        catch (SshException e)
        {
            metrics.OnLoginFailed(e.Reason switch
            {
                SshDisconnectReason.ConnectionLost => "ended",
                SshDisconnectReason.NoMoreAuthMethodsAvailable => "authentication",
                _ => "protocol",
            });
            LogLoginFailed(logger, e.Reason, e.Message);
        }
        catch (InvalidDataException)
        {
            metrics.OnLoginFailed("preface");
        }
        catch (OperationCanceledException)
        {
            metrics.OnLoginFailed("evicted");
        }
        catch (IOException)
        {
            metrics.OnLoginFailed("ended");
        }

        return null;
    }

    // A connection to the target that nobody took over.
    private static async Task DropAsync(Task<UpstreamConnection>? upstream)
    {
        if (upstream is null)
        {
            return;
        }

        try
        {
            await (await upstream).DisposeAsync();
        }
        catch (Exception e) when (e is UpstreamFailedException or OperationCanceledException)
        {
            // It was never there.
        }
    }
}
