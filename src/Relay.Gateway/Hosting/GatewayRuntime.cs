using System.Globalization;
using System.Net;
using Microsoft.Extensions.Logging;
using Relay.Gateway.Devices;
using Relay.Gateway.Grid;
using Relay.Gateway.Sessions;
using Relay.Gateway.Ssh;
using Relay.Gateway.Upstream;
using Relay.Gateway.WireGuard;
using Relay.Gateway.WireGuard.Decisions;
using Relay.Protocol.Grid;
using Relay.Protocol.Ssh;

namespace Relay.Gateway.Hosting;

/// <summary>One running gateway: credential, silos, SSH, WireGuard, and the way down. Start it once; the caller disposes it.</summary>
internal sealed partial class GatewayRuntime(GatewayOptions options, GatewayToken token, TimeProvider time, ILoggerFactory loggers) : IAsyncDisposable
{
    private static readonly TimeSpan s_retryRenewal = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan s_lastReports = TimeSpan.FromSeconds(15);

    private readonly ILogger _logger = loggers.CreateLogger<GatewayRuntime>();
    private readonly LiveSessions _live = new();
    private Enrollment? _enrollment;
    private GatewayCredential? _credential;
    private SiloPool? _silos;
    private SshListener? _listener;
    private GridFlows? _flows;
    private WireGuardTunnel? _tunnel;
    private SshPrivateKey? _hostKey;
    private readonly TaskCompletionSource _hurry = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile bool _draining;

    public GatewayMetrics Metrics { get; } = new();

    /// <summary>Where users connect, after <see cref="StartAsync"/>.</summary>
    public IPEndPoint SshEndPoint => _listener!.LocalEndPoint;

    /// <summary>Decides about devices' flows, after <see cref="StartAsync"/>.</summary>
    public IFlows Flows => _flows!;

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
        await StartWireGuardAsync();
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
    }

    // After SSH: flows to SSH sockets go there. Where WireGuard can not be had, the rest goes on.
    private async Task StartWireGuardAsync()
    {
        if (options.WireGuard is not { } wireGuard)
        {
            return;
        }

        _tunnel = await WireGuardTunnel.TryStartAsync(wireGuard, new NobodyYet(), _flows!, time, loggers.CreateLogger<WireGuardTunnel>());
        Metrics.Gauge("relay_gateway_flows", () => _tunnel is null ? 0 : _tunnel.FlowCount(FlowProtocol.Tcp) + _tunnel.FlowCount(FlowProtocol.Udp));
    }

    private GatewayHello Introduce() => new(options.Name, Version, options.SshAdvertise ?? _listener!.LocalEndPoint.ToString());

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
