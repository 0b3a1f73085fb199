using System.Collections.Concurrent;
using System.Text.Json;
using Relay.Protocol.Grid;
using Relay.Silo.Authorities;
using Relay.Silo.Devices;
using Relay.Silo.Hosting;
using Relay.Silo.Sessions;
using Relay.Silo.Storage;

namespace Relay.Silo.Grid;

/// <summary>Introduction and control stream of gateways.</summary>
internal sealed partial class GatewayRoutes(
    IAuthorities authorities,
    DeviceNetwork network,
    SiloDirectory directory,
    SiloIdentity self,
    GatewaySubscriptions subscriptions,
    SessionRegistry registry,
    TimeProvider time,
    GridDrain drain,
    DrainState life,
    SiloAnnouncer announcer,
    StoreHealth store,
    ILogger<GatewayRoutes> logger) : IGridRoutes
{
    /// <summary>A gateway that hears nothing for a few of these goes to another silo.</summary>
    public static readonly TimeSpan PingInterval = TimeSpan.FromSeconds(5);

    // 39 bytes a session: some 200,000 sessions of one gateway, more than it takes flows of devices.
    private const int MaxSubscriptionBytes = 8 * 1024 * 1024;
    private static readonly TimeSpan SightingInterval = TimeSpan.FromSeconds(5);
    private static readonly ControlMessage Ping = new("ping", null, null);
    private readonly ConcurrentDictionary<string, GatewayHello> _hellos = new(StringComparer.Ordinal);

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost(GridRoutes.Hello, HelloAsync).For(GridRole.Gateway);
        routes.MapPost(GridRoutes.Control, ControlAsync).For(GridRole.Gateway);
        routes.MapGet(GridRoutes.Ping, () => Results.NoContent()).For(GridRole.Gateway);
    }

    private async Task HelloAsync(HttpContext context)
    {
        if (await GridReply.ReadAsync(context, GridJson.Default.GatewayHello, time) is not { } hello)
            return;
        var name = context.GridPeer().Name;
        if (hello.Gateway != name)
        {
            await GridReply.RefuseAsync(context, StatusCodes.Status403Forbidden, "wrong_name", $"the certificate is for {name}");
            return;
        }

        if (!GridAddress.TryParse(hello.SshAddress, out _, out _))
        {
            await GridReply.RefuseAsync(context, StatusCodes.Status400BadRequest, "bad_address", "ssh_address is host:port");
            return;
        }

        if (hello.WireGuardAddress is { } outer && !GridAddress.TryParse(outer, out _, out _))
        {
            await GridReply.RefuseAsync(context, StatusCodes.Status400BadRequest, "bad_address", "wire_guard_address is host:port");
            return;
        }

        if (hello.WireGuardMtu is not (0 or (>= 1280 and <= 9000)))
        {
            await GridReply.RefuseAsync(context, StatusCodes.Status400BadRequest, "bad_mtu", "wire_guard_mtu is 1280 to 9000, or 0");
            return;
        }

        hello = hello with { Version = PlainText.Clean(hello.Version, 100) };
        if (!_hellos.TryGetValue(name, out var former) || former != hello)
        {
            _hellos[name] = hello;
            LogHello(logger, name, hello.Version, hello.SshAddress);
        }

        // The directory is for people; a gateway must be able to come while the database is away.
        await SightAsync(name, context.RequestAborted);
        var silos = announcer.ForGateways();
        var welcome = new GatewayWelcome(
            authorities.GatewayHostKey.ExportOpenSsh("relay-gateway"), [.. silos.Silos.Where(s => s.State == SiloAnnouncement.Active).Select(s => s.Address)], silos, WireGuard());
        await GridReply.WriteAsync(context, welcome, GridJson.Default.GatewayWelcome);
    }

    // Null: this silo was started from what an older version left on its disk. The gateway asks another one, or this one when it starts again.
    private WireGuardNetwork? WireGuard() => authorities.WireGuardKey.IsEmpty ? null : new WireGuardNetwork(
        Convert.ToBase64String(authorities.WireGuardKey.Span), [.. network.Devices.Select(r => r.ToString())], [.. network.Resources.Select(r => r.ToString())], network.Suffix);

    private async Task ControlAsync(HttpContext context)
    {
        if (await GridReply.ReadBytesAsync(context, MaxSubscriptionBytes, time) is not { } body)
            return;
        ControlSubscription? claim;
        try
        {
            claim = JsonSerializer.Deserialize(body, GridJson.Default.ControlSubscription);
        }
        catch (JsonException)
        {
            claim = null;
        }

        if (claim?.Sessions is null)
        {
            await GridReply.RefuseAsync(context, StatusCodes.Status400BadRequest, "bad_message", "the body is not a control subscription");
            return;
        }

        var gateway = context.GridPeer().Name;
        if (life.IsDraining && claim.Sessions.Count == 0)
        {
            await GridReply.RefuseAsync(context, StatusCodes.Status503ServiceUnavailable, "draining", $"silo {self.Name} is shutting down");
            return;
        }

        using var stop = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, drain.Token);

        // Subscribed before the lists are compared: what ends meanwhile comes through the queue.
        using var subscription = subscriptions.Subscribe(gateway);
        LogSubscribed(logger, gateway, claim.Sessions.Count);
        context.Response.ContentType = "application/x-ndjson";
        await WriteAsync(context, Ping);
        await WriteAsync(context, new ControlMessage("silos", null, null, announcer.ForGateways()));
        try
        {
            var (dead, undecided) = await registry.ReconcileAsync(gateway, claim.Sessions, subscriptions.IsOnly(subscription), stop.Token);
            foreach (var session in dead)
                await WriteAsync(context, new ControlMessage("end_session", session, "the session is over"));
            if (undecided.Count > 0)
                _ = DecideLaterAsync(gateway, undecided, subscription, stop.Token);
            await SendAsync(context, gateway, subscription, stop.Token);
        }
        catch (OperationCanceledException) when (!context.RequestAborted.IsCancellationRequested && drain.Token.IsCancellationRequested)
        {
            // This silo stops: what is in the queue still goes out, then the stream ends and the gateway goes elsewhere.
            while (subscription.Messages.TryRead(out var message))
                await WriteAsync(context, message);
        }
        finally
        {
            LogUnsubscribed(logger, gateway);
            if (!drain.Token.IsCancellationRequested && subscriptions.IsOnly(subscription))
                await MissAsync(gateway);
        }
    }

    // Without the store nobody can say whose they are. Nothing can have ended them meanwhile but their own silo or gateway.
    private async Task DecideLaterAsync(string gateway, IReadOnlyList<Guid> sessions, GatewaySubscriptions.Subscription subscription, CancellationToken cancellationToken)
    {
        LogUndecided(logger, gateway, sessions.Count);
        try
        {
            while (sessions.Count > 0)
            {
                await store.WhenReachableAsync(cancellationToken);
                (var dead, sessions) = await registry.ReconcileAsync(gateway, sessions, isOnlyStream: false, cancellationToken);
                foreach (var session in dead)
                    subscription.Offer(new ControlMessage("end_session", session, "the session is over"));
            }
        }
        catch (Exception e) when (e is OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            if (e is not OperationCanceledException)
                LogNotSighted(logger, gateway, e.Message);
        }
    }

    private async Task SendAsync(HttpContext context, string gateway, GatewaySubscriptions.Subscription subscription, CancellationToken cancellationToken)
    {
        var sighted = time.GetTimestamp();
        while (true)
        {
            if (time.GetElapsedTime(sighted) >= SightingInterval)
            {
                sighted = time.GetTimestamp();
                await SightAsync(gateway, cancellationToken);
            }

            using var pause = new CancellationTokenSource(PingInterval, time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(pause.Token, cancellationToken);
            try
            {
                // False: it fell behind by a whole queue; it subscribes again and is told the rest then.
                if (!await subscription.Messages.WaitToReadAsync(either.Token))
                    return;
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                await WriteAsync(context, Ping);
            }

            while (subscription.Messages.TryRead(out var message))
                await WriteAsync(context, message);
        }
    }

    private async Task SightAsync(string gateway, CancellationToken cancellationToken)
    {
        try
        {
            if (store.Reachable && _hellos.TryGetValue(gateway, out var hello))
                await directory.GatewaySeenAsync(gateway, hello.SshAddress, hello.WireGuardAddress ?? "", hello.WireGuardMtu, hello.Version, self.Address, cancellationToken);
        }
        catch (Exception e) when (StoreErrors.IsOutage(e))
        {
            // Only the directory goes stale; the control stream must not end with the database.
            LogNotSighted(logger, gateway, e.Message);
        }
    }

    // Users must not be sent to a gateway that is gone. One that is alive has spoken to another silo, or does so in a moment.
    private async Task MissAsync(string gateway)
    {
        try
        {
            await directory.GatewayGoneAsync(gateway, self.Address, CancellationToken.None);
        }
        catch (Exception e) when (StoreErrors.IsOutage(e))
        {
            LogNotSighted(logger, gateway, e.Message);
        }
    }

    // Only the gateway's own departure ends a write: what was taken from the queue must go out.
    private static async Task WriteAsync(HttpContext context, ControlMessage message)
    {
        var line = JsonSerializer.SerializeToUtf8Bytes(message, GridJson.Default.ControlMessage);
        Array.Resize(ref line, line.Length + 1);
        line[^1] = (byte)'\n';
        await context.Response.Body.WriteAsync(line, context.RequestAborted);
        await context.Response.Body.FlushAsync(context.RequestAborted);
    }

    [LoggerMessage(4005, LogLevel.Information, "gateway {Gateway} is here, version {Version}, users dial {SshAddress}")]
    private static partial void LogHello(ILogger logger, string gateway, string version, string sshAddress);

    [LoggerMessage(4006, LogLevel.Information, "gateway {Gateway} listens for orders, it has {Sessions} sessions")]
    private static partial void LogSubscribed(ILogger logger, string gateway, int sessions);

    [LoggerMessage(4007, LogLevel.Information, "gateway {Gateway} does not listen for orders any more")]
    private static partial void LogUnsubscribed(ILogger logger, string gateway);

    [LoggerMessage(4008, LogLevel.Warning, "gateway {Gateway} could not be marked as seen: {Reason}")]
    private static partial void LogNotSighted(ILogger logger, string gateway, string reason);

    [LoggerMessage(4013, LogLevel.Warning, "gateway {Gateway} has {Sessions} sessions that this silo does not know, and the database cannot be asked: they are left alone until it can")]
    private static partial void LogUndecided(ILogger logger, string gateway, int sessions);
}
