using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using Relay.Gateway.Devices;
using Relay.Gateway.Grid;
using Relay.Gateway.Sessions;
using Relay.Gateway.Ssh;
using Relay.Gateway.Upstream;
using Relay.Gateway.WireGuard;
using Relay.Gateway.WireGuard.Decisions;
using Relay.Gateway.WireGuard.Resolver;
using Relay.Protocol.Grid;
using Relay.Protocol.Ssh;
using Relay.Protocol.WireGuard;

namespace Relay.Gateway.Hosting;

/// <summary>One running gateway: credential, silos, SSH, WireGuard, and the way down. Start it once; the caller disposes it.</summary>
internal sealed partial class GatewayRuntime(GatewayOptions options, GatewayToken token, TimeProvider time, ILoggerFactory loggers) : IAsyncDisposable
{
    private static readonly TimeSpan s_retryRenewal = TimeSpan.FromMinutes(1);
    // A device that is in use makes a new handshake every two minutes, and none of its keys is good after three.
    private static readonly TimeSpan s_connected = TimeSpan.FromMinutes(3);
    private static readonly TimeSpan s_lastReports = TimeSpan.FromSeconds(15);

    private readonly ILogger _logger = loggers.CreateLogger<GatewayRuntime>();
    private readonly LiveSessions _live = new();
    private Enrollment? _enrollment;
    private GatewayCredential? _credential;
    private SiloPool? _silos;
    private SshListener? _listener;
    private GridFlows? _flows;
    private volatile WireGuardTunnel? _tunnel;
    private Task _wireGuard = Task.CompletedTask;
    private SshPrivateKey? _hostKey;
    private readonly TaskCompletionSource _hurry = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _stop = new();
    private volatile bool _draining;

    public GatewayMetrics Metrics { get; } = new();

    /// <summary>Where users connect, after <see cref="StartAsync"/>.</summary>
    public IPEndPoint SshEndPoint => _listener!.LocalEndPoint;

    /// <summary>Decides about devices' flows, after <see cref="StartAsync"/>.</summary>
    public IFlows Flows => _flows!;

    /// <summary>The silos, after <see cref="StartAsync"/>.</summary>
    public SiloPool Silos => _silos!;

    /// <summary>Sessions live now.</summary>
    public int SessionCount => _live.Count;

    /// <summary>Grid address of the silo that new sessions go to first; null: none is known.</summary>
    public string? ChosenSilo => _silos?.Chosen;

    /// <summary>Users can log in: a silo can be asked, and the gateway is not going down.</summary>
    public bool IsReady => !_draining && _listener is not null && _silos is { IsConnected: true };

    /// <summary>Enrols if need be, meets the silos, and opens the listener. Waits for the first silo as long as it takes.</summary>
    /// <exception cref="GridException">A silo refused the token.</exception>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        var seeds = options.Silos.Count > 0 ? options.Silos : token.Silos;
        var store = new CredentialStore(options.StateDirectory, options.Name);
        _enrollment = new Enrollment(token, options.Name, store, time);
        _credential = store.Load(token.AuthorityPin, time.GetUtcNow()) is { } kept && kept.RenewAt > time.GetUtcNow()
            ? kept
            : await EnrollAsync(seeds, cancellationToken);

        // Bound before the silos are met: what is advertised must be known.
        _ = GatewayOptionsReader.TryParseEndPoint(options.SshListen, out var endPoint);
        var upstreams = new UpstreamConnector(options.UpstreamTimeout, options.KeepAliveInterval, time);
        _silos = new SiloPool(Introduce, () => _credential, _live, options.Region, time, loggers.CreateLogger<SiloPool>());
        var closing = new SessionClosing(_live, Metrics, loggers.CreateLogger<SessionClosing>());
        var users = new UserConnection(options, _silos, _live, closing, upstreams, Metrics, time, loggers.CreateLogger<UserConnection>());
        var hostKeys = new List<SshPrivateKey>(1);
        _listener = new SshListener(options, users, hostKeys, Metrics, time, loggers.CreateLogger<SshListener>());
        _listener.Bind(endPoint!);
        _silos.Start(seeds);

        var welcome = await _silos.FirstWelcome.WaitAsync(cancellationToken);
        if (!SshPrivateKey.TryImport(welcome.SshHostKey, out _hostKey, out var error))
        {
            throw new GridException($"The grid's SSH host key could not be read: {error}", HttpStatusCode.OK, "protocol");
        }

        hostKeys.Add(_hostKey);
        _flows = new GridFlows(_silos, _live, closing, _listener, Metrics, time, loggers.CreateLogger<GridFlows>());
        if (options.WireGuard is { } wireGuard)
        {
            // After SSH: flows to SSH sockets go there. A silo of an older version does not know of it: the rest does not wait for a newer one.
            var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _wireGuard = RunWireGuardAsync(wireGuard, started, _stop.Token);
            if (welcome.WireGuard is not null)
            {
                await started.Task;
            }
        }

        Metrics.Gauge("relay_gateway_sessions", () => _live.Count);
        Metrics.Gauge("relay_gateway_startups", () => _listener.Startups);
        Metrics.Gauge("relay_gateway_silo_moves", () => _silos.Moves);
        Metrics.Gauge("relay_gateway_ready", () => IsReady ? 1 : 0);
    }

    /// <summary>Serves until cancelled, then lets live sessions go on for the drain time, and ends them with the reason.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        LogReady(_logger, SshEndPoint.ToString(), options.Name, _hostKey!.PublicKey.Fingerprint);
        var renewal = RenewAsync(cancellationToken);
        await _listener!.RunAsync(cancellationToken);
        await DrainAsync();
        await renewal;
    }

    /// <summary>Ends a drain that is under way, or to come, at once.</summary>
    public void EndNow() => _hurry.TrySetResult();

    public async ValueTask DisposeAsync()
    {
        // Its flows end first, and then still have their silos to be told to.
        await _stop.CancelAsync();
        await _wireGuard;
        if (_tunnel is not null)
        {
            await _tunnel.DisposeAsync();
        }

        if (_flows is not null)
        {
            await _flows.WaitAsync(s_lastReports);
        }

        if (_silos is not null)
        {
            await _silos.DisposeAsync();
        }

        _listener?.Dispose();
        _hostKey?.Dispose();
        _credential?.Dispose();
        _stop.Dispose();
    }

    // Where it can not be had, one line says why, and the rest goes on. Until it stops: the tunnel itself ends later, with its flows.
    private async Task RunWireGuardAsync(WireGuardOptions asked, TaskCompletionSource started, CancellationToken cancellationToken)
    {
        var logger = loggers.CreateLogger<WireGuardTunnel>();
        try
        {
            if (!_silos!.Network.IsCompleted)
            {
                LogWireGuardWaits(_logger);
            }

            var network = await _silos.Network.WaitAsync(cancellationToken);
            var devices = new GridDevices(_silos, time, loggers.CreateLogger<GridDevices>());
            var key = DeviceNetwork.Key(network);
            try
            {
                var applied = DeviceNetwork.Apply(asked, network);
                var names = new ResolverOptions { Suffix = network.Suffix.ToLowerInvariant(), Forward = applied.DnsForward, Ranges = [.. applied.Resources, .. applied.Devices] };
                var flows = new ResolverFlows(_flows!, applied.Own, new TunnelResolver(names, new SiloNames(_silos), time));
                _tunnel = await WireGuardTunnel.TryStartAsync(applied, key, devices, flows, time, logger);
            }
            finally
            {
                CryptographicOperations.ZeroMemory(key);
            }

            if (_tunnel is not { } tunnel)
            {
                return;
            }

            Metrics.Gauge("relay_gateway_flows", () => tunnel.FlowCount(FlowProtocol.Tcp) + tunnel.FlowCount(FlowProtocol.Udp));
            Metrics.Gauge("relay_wireguard_devices", () => tunnel.DeviceCount);
            Metrics.Gauge("relay_wireguard_devices_connected", () => tunnel.Devices().Count(d => time.GetUtcNow() - d.LastHandshake < s_connected));
            Metrics.Counter("relay_wireguard_device_streams_total", "", () => devices.Streams);
            Metrics.Counter("relay_wireguard_handshakes_total", "", () => tunnel.Handshakes);
            Metrics.Counter("relay_wireguard_invitations_total", "", () => tunnel.Invitations);
            Metrics.Counter("relay_wireguard_bytes_total", "direction=\"up\"", () => tunnel.Bytes.Received);
            Metrics.Counter("relay_wireguard_bytes_total", "direction=\"down\"", () => tunnel.Bytes.Sent);
            foreach (var reason in Enum.GetValues<WireGuardDrop>())
            {
                Metrics.Counter("relay_wireguard_dropped_total", $"reason=\"{reason.ToString().ToLowerInvariant()}\"", () => tunnel.Drops[reason]);
            }

            await _silos.IntroduceAsync(cancellationToken);
            started.TrySetResult();
            await new DeviceReporter(_silos, tunnel.Devices, time, loggers.CreateLogger<DeviceReporter>()).RunAsync(cancellationToken);
        }
        catch (WireGuardUnavailableException e)
        {
            LogWireGuardOff(_logger, e.Message);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Going down.
        }
        catch (Exception e)
        {
            // Not silently: devices would wait for what does not come.
            LogWireGuardFailed(_logger, e);
        }
        finally
        {
            started.TrySetResult();
        }
    }

    private GatewayHello Introduce() => new(options.Name, Version, options.SshAdvertise ?? _listener!.LocalEndPoint.ToString(), WireGuardAddress, _tunnel is null ? 0 : options.WireGuard!.Mtu);

    // Null unless it runs: devices are not to be sent to a gateway where it could not be had.
    private string? WireGuardAddress => _tunnel is not { } tunnel ? null : options.WireGuard!.Advertise ?? Reachable(tunnel.LocalEndPoint);

    private string Reachable(IPEndPoint listening)
    {
        if (!listening.Address.Equals(IPAddress.IPv6Any) && !listening.Address.Equals(IPAddress.Any))
        {
            return listening.ToString();
        }

        return options.SshAdvertise is { } ssh && GatewayOptionsReader.TryParseHostPort(ssh, out var host, out _)
            ? string.Create(CultureInfo.InvariantCulture, $"{(host.Contains(':') ? $"[{host}]" : host)}:{listening.Port}")
            : new IPEndPoint(_listener!.LocalEndPoint.Address, listening.Port).ToString();
    }

    private static string Version => typeof(GatewayRuntime).Assembly.GetName().Version is { } v ? v.ToString(3) : "0";

    private async Task DrainAsync()
    {
        _draining = true;
        _listener!.StopAccepting();
        _tunnel?.StopAccepting();
        if (_live.Count > 0)
        {
            LogDraining(_logger, _live.Count, options.DrainTime.TotalSeconds);
        }

        var finished = WaitAsync(options.DrainTime);
        await Task.WhenAny(finished, _hurry.Task);
        if (!finished.IsCompletedSuccessfully || !await finished)
        {
            LogEnding(_logger, _live.Count, _hurry.Task.IsCompleted ? "a second signal" : "the limit is reached");
            _live.EndAll(new SessionEnd("gateway shut down", "This gateway is shutting down; connect again to go on."));
            await WaitAsync(TimeSpan.FromSeconds(30));
        }

        LogStopped(_logger);
    }

    // A device's SSH session is over when its flow is.
    private async Task<bool> WaitAsync(TimeSpan limit)
    {
        var ended = await Task.WhenAll(_listener!.WaitAsync(limit), _tunnel?.WaitAsync(limit) ?? Task.FromResult(true));
        return ended.All(all => all);
    }

    private async Task<GatewayCredential> EnrollAsync(IReadOnlyList<string> silos, CancellationToken cancellationToken)
    {
        for (var attempt = 0; ; attempt++)
        {
            try
            {
                var credential = await _enrollment!.EnrollAsync(silos, cancellationToken);
                LogEnrolled(_logger, options.Name, new DateTimeOffset(credential.Certificate.NotAfter).ToString("u", CultureInfo.InvariantCulture));
                return credential;
            }
            catch (GridException e) when (e.IsTransient)
            {
                var delay = TimeSpan.FromMilliseconds(Random.Shared.Next(50, Math.Min(10_000, 250 << Math.Min(attempt, 6))));
                LogEnrollFailed(_logger, e.Message, (long)delay.TotalMilliseconds);
                await Task.Delay(delay, time, cancellationToken);
            }
        }
    }

    private async Task RenewAsync(CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                var left = _credential!.RenewAt - time.GetUtcNow();
                await Task.Delay(left < TimeSpan.FromDays(1) ? left > s_retryRenewal ? left : s_retryRenewal : TimeSpan.FromDays(1), time, cancellationToken);
                if (_credential.RenewAt > time.GetUtcNow())
                {
                    continue;
                }

                try
                {
                    // The former certificate stays undisposed for the connections that were opened with it; the collector takes it.
                    _credential = await _enrollment!.EnrollAsync(options.Silos.Count > 0 ? options.Silos : token.Silos, cancellationToken);
                    LogEnrolled(_logger, options.Name, new DateTimeOffset(_credential.Certificate.NotAfter).ToString("u", CultureInfo.InvariantCulture));
                }
                catch (GridException e)
                {
                    LogEnrollFailed(_logger, e.Message, (long)s_retryRenewal.TotalMilliseconds);
                }
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Going down.
        }
    }
}
