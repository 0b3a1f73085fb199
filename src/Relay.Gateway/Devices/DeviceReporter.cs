using Microsoft.Extensions.Logging;
using Relay.Gateway.Grid;
using Relay.Gateway.WireGuard;
using Relay.Protocol.Grid;

namespace Relay.Gateway.Devices;

/// <summary>Tells a silo every ten seconds what was heard of devices. What was not taken is told again, added up.</summary>
internal sealed partial class DeviceReporter(SiloPool silos, Func<IReadOnlyList<DeviceCounters>> devices, TimeProvider time, ILogger<DeviceReporter> logger)
{
    private const int MaxReports = 1000;
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(10);

    private Dictionary<Guid, DeviceCounters> _told = [];

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                await Task.Delay(s_interval, time, cancellationToken);
                await ReportAsync(cancellationToken);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Going down.
        }
    }

    /// <summary>Tells what is new now.</summary>
    public async Task ReportAsync(CancellationToken cancellationToken)
    {
        var told = new Dictionary<Guid, DeviceCounters>();
        var news = new List<(DeviceCounters Now, DeviceReport Report)>();
        foreach (var device in devices())
        {
            var former = _told.GetValueOrDefault(device.DeviceId);
            if (former is not null)
            {
                told[device.DeviceId] = former;
            }

            // Its tunnel may be a new one, which counts from zero.
            var isSame = former?.Tunnel == device.Tunnel;
            if (former is null || !isSame || former with { Tunnel = device.Tunnel } != device)
            {
                var (up, down) = isSame ? (device.BytesUp - former!.BytesUp, device.BytesDown - former.BytesDown) : (device.BytesUp, device.BytesDown);
                news.Add((device, new DeviceReport(device.DeviceId, device.Endpoint, device.LastHandshake, up, down)));
            }
        }

        _told = told;
        foreach (var batch in news.Chunk(MaxReports))
        {
            try
            {
                await silos.AskAsync(
                    async (silo, cancellation) =>
                    {
                        await silo.ReportDevicesAsync(new DeviceReports([.. batch.Select(b => b.Report)]), cancellation);
                        return true;
                    },
                    cancellationToken);
                foreach (var (now, _) in batch)
                {
                    _told[now.DeviceId] = now;
                }
            }
            catch (GridException e)
            {
                LogNotTaken(logger, batch.Length, e.Message);
                return;
            }
        }
    }

    [LoggerMessage(EventId = 3425, Level = LogLevel.Debug, Message = "no silo took the report of {Devices} devices: {Reason}")]
    private static partial void LogNotTaken(ILogger logger, int devices, string reason);
}
