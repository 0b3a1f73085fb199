using System.Text.Json;
using Relay.Protocol.Grid;
using Relay.Silo.Grid;
using Relay.Silo.Hosting;
using Relay.Silo.Sessions;

namespace Relay.Silo.Devices;

/// <summary>What gateways hear of devices, and what they say of them.</summary>
internal sealed partial class DeviceRoutes : IGridRoutes
{
    // 1,000 reports of some 250 bytes.
    private const int MaxReportBytes = 512 * 1024;
    private const int MaxReports = 1000;

    // A gateway that does not take a line for so long is better told everything anew.
    private static readonly TimeSpan WriteDeadline = TimeSpan.FromSeconds(20);
    private static readonly byte[] Ping = [.. JsonSerializer.SerializeToUtf8Bytes(new DevicesMessage("ping"), GridJson.Default.DevicesMessage), (byte)'\n'];

    private readonly DeviceFeed _feed;
    private readonly DeviceStatuses _statuses;
    private readonly DrainState _life;
    private readonly GridDrain _drain;
    private readonly SiloIdentity _self;
    private readonly TimeProvider _time;
    private readonly ILogger<DeviceRoutes> _logger;

    public DeviceRoutes(DeviceFeed feed, DeviceStatuses statuses, GatewaySubscriptions gateways, DrainState life, GridDrain drain, SiloIdentity self, TimeProvider time, ILogger<DeviceRoutes> logger)
    {
        (_feed, _statuses, _life, _drain, _self, _time, _logger) = (feed, statuses, life, drain, self, time, logger);
        gateways.Revoked += feed.Close;
    }

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet(GridRoutes.Devices, DevicesAsync).For(GridRole.Gateway);
        routes.MapPost(GridRoutes.DeviceReport, ReportAsync).For(GridRole.Gateway);
    }

    private async Task DevicesAsync(HttpContext context)
    {
        if (_life.IsDraining)
        {
            await GridReply.RefuseAsync(context, StatusCodes.Status503ServiceUnavailable, "draining", $"silo {_self.Name} is shutting down");
            return;
        }

        using var stop = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, _drain.Token);
        using var subscription = _feed.Subscribe(context.GridPeer().Name);
        context.Response.ContentType = "application/x-ndjson";
        try
        {
            foreach (var line in subscription.Complete)
                await WriteAsync(context, line, stop.Token);
            while (true)
            {
                while (subscription.Changes.TryRead(out var line))
                    await WriteAsync(context, line, stop.Token);
                using var pause = new CancellationTokenSource(GatewayRoutes.PingInterval, _time);
                using var either = CancellationTokenSource.CreateLinkedTokenSource(pause.Token, stop.Token);
                try
                {
                    if (!await subscription.Changes.WaitToReadAsync(either.Token))
                        return;
                }
                catch (OperationCanceledException) when (!stop.IsCancellationRequested)
                {
                    await WriteAsync(context, Ping, stop.Token);
                }
            }
        }
        catch (OperationCanceledException) when (_drain.Token.IsCancellationRequested)
        {
            // This silo stops: the gateway goes to another one.
        }
        catch (TimeoutException)
        {
            LogSlow(_logger, subscription.Gateway);
            context.Abort();
        }
    }

    private async Task ReportAsync(HttpContext context)
    {
        if (await GridReply.ReadBytesAsync(context, MaxReportBytes, _time) is not { } body)
            return;
        DeviceReports? reports;
        try
        {
            reports = JsonSerializer.Deserialize(body, GridJson.Default.DeviceReports);
        }
        catch (JsonException)
        {
            reports = null;
        }

        if (reports?.Devices is not { Count: <= MaxReports } devices || devices.Contains(null!))
        {
            await GridReply.RefuseAsync(context, StatusCodes.Status400BadRequest, "bad_message", $"the body is not the report of at most {MaxReports} devices");
            return;
        }

        _statuses.Take(context.GridPeer().Name, devices);
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    private async Task WriteAsync(HttpContext context, byte[] line, CancellationToken cancellationToken)
    {
        using var late = new CancellationTokenSource(WriteDeadline, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellationToken);
        try
        {
            await context.Response.Body.WriteAsync(line, either.Token);
            await context.Response.Body.FlushAsync(either.Token);
        }
        catch (OperationCanceledException) when (late.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            throw new TimeoutException();
        }
    }

    [LoggerMessage(4723, LogLevel.Warning, "gateway {Gateway} does not read what it is told of devices: its stream is cut off, it asks again")]
    private static partial void LogSlow(ILogger logger, string gateway);
}
