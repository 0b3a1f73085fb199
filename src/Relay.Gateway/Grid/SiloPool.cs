using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Relay.Protocol.Grid;

namespace Relay.Gateway.Grid;

/// <summary>
/// All silos the gateway knows. Each has a control stream of its own (a session's silo must be able to end it, wherever new
/// sessions go); new sessions go to the one with the lowest measured round trip, and elsewhere when it fails.
/// Safe for concurrent use.
/// </summary>
internal sealed partial class SiloPool(
    Func<GatewayHello> hello, Func<GatewayCredential> credential, ISessionControl sessions, TimeProvider time, ILogger<SiloPool> logger) : IAsyncDisposable
{
    private static readonly TimeSpan s_measureInterval = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan s_avoidFailed = TimeSpan.FromSeconds(10);

    // About a minute and a half of trying.
    private const int ForgetAfterFailures = 20;

    // Another silo must be this much nearer before new sessions move: measurements jitter.
    private const double Hysteresis = 0.7;

    private readonly ConcurrentDictionary<string, SiloState> _silos = new(StringComparer.OrdinalIgnoreCase);
    private readonly TaskCompletionSource<GatewayWelcome> _firstWelcome = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly HashSet<string> _seeds = new(StringComparer.OrdinalIgnoreCase);
    private volatile IReadOnlyList<string> _named = [];
    private volatile SiloState? _home;
    private volatile bool _disposed;

    /// <summary>The welcome of the silo that answered first: it carries the host key, the same from every silo.</summary>
    public Task<GatewayWelcome> FirstWelcome => _firstWelcome.Task;

    /// <summary>At least one silo can be asked.</summary>
    public bool IsConnected => _silos.Values.Any(s => s.Subscribed);

    /// <summary>Starts watching the silos that were configured; these are never forgotten.</summary>
    public void Start(IReadOnlyList<string> seeds)
    {
        _seeds.UnionWith(seeds);
        Watch(seeds);
    }

    /// <summary>Asks the nearest silo; when it does not answer, each other one once.</summary>
    /// <exception cref="GridException">The silo refused, or none answered.</exception>
    public async Task<(SiloLink Silo, T Answer)> AskAsync<T>(Func<SiloLink, CancellationToken, Task<T>> question, CancellationToken cancellationToken)
    {
        GridException? last = null;
        HashSet<SiloState> asked = [];
        while (Choose(asked) is { } silo)
        {
            try
            {
                return (silo.Link, await question(silo.Link, cancellationToken));
            }
            catch (GridException e) when (e.IsTransient)
            {
                asked.Add(silo);
                silo.AvoidUntil = time.GetTimestamp() + (long)(s_avoidFailed.TotalSeconds * time.TimestampFrequency);
                LogFailOver(logger, silo.Link.Address, e.Code);
                last = e;
            }
        }

        throw last ?? new GridException("No silo can be reached.", null, "unreachable");
    }

    public async ValueTask DisposeAsync()
    {
        _disposed = true;
        foreach (var silo in _silos.Values)
        {
            await silo.Stop.CancelAsync();
        }

        foreach (var silo in _silos.Values)
        {
            await silo.Running;
            silo.Link.Dispose();
            silo.Stop.Dispose();
        }
    }

    private void Watch(IReadOnlyList<string> addresses)
    {
        foreach (var address in addresses)
        {
            if (_disposed || _silos.ContainsKey(address) || !Hosting.GatewayOptionsReader.TryParseHostPort(address, out _, out _))
            {
                continue;
            }

            var state = new SiloState(new SiloLink(address, credential, time), new CancellationTokenSource());
            if (_silos.TryAdd(address, state))
            {
                state.Running = WatchAsync(state, state.Stop.Token);
            }
        }
    }

    private SiloState? Choose(HashSet<SiloState> except)
    {
        var now = time.GetTimestamp();
        SiloState? best = null;
        foreach (var silo in _silos.Values)
        {
            if (!except.Contains(silo) && (best is null || Rank(silo, now).CompareTo(Rank(best, now)) < 0))
            {
                best = silo;
            }
        }

        if (best is null)
        {
            return null;
        }

        var home = _home;
        if (home is not null && home != best && !except.Contains(home) && Rank(home, now).Unfit == Rank(best, now).Unfit
            && best.RoundTrip > home.RoundTrip * Hysteresis)
        {
            return home;
        }

        if (home != best)
        {
            _home = best;
            LogHome(logger, best.Link.Address, best.RoundTrip == TimeSpan.MaxValue ? -1 : best.RoundTrip.TotalMilliseconds);
        }

        return best;
    }

    private static (int Unfit, long RoundTrip) Rank(SiloState silo, long now) =>
        ((silo.Subscribed ? 0 : 2) + (silo.AvoidUntil > now ? 1 : 0), silo.RoundTrip.Ticks);

    private async Task WatchAsync(SiloState silo, CancellationToken cancellationToken)
    {
        await Task.Yield();
        try
        {
            while (true)
            {
                var reason = "ended";
                try
                {
                    Learn(await silo.Link.HelloAsync(hello(), cancellationToken));
                    using var measuring = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
                    var measured = MeasureAsync(silo, measuring.Token);
                    try
                    {
                        await new ControlStream(silo.Link, sessions, time).RunAsync(
                            () =>
                            {
                                silo.Failures = 0;
                                silo.Subscribed = true;
                                LogSubscribed(logger, silo.Link.Address);
                            },
                            cancellationToken);
                    }
                    finally
                    {
                        silo.Subscribed = false;
                        await measuring.CancelAsync();
                        await measured;
                    }
                }
                catch (GridException e)
                {
                    reason = e.Message;
                }

                if (silo.Failures >= ForgetAfterFailures && IsForgotten(silo))
                {
                    LogForgotten(logger, silo.Link.Address);
                    return;
                }

                // Full jitter: after a silo's restart not all gateways come back at once.
                var ceiling = Math.Min(10_000, 250 << Math.Min(silo.Failures++, 6));
                var delay = TimeSpan.FromMilliseconds(Random.Shared.Next(20, ceiling));
                LogControlClosed(logger, silo.Link.Address, reason, (long)delay.TotalMilliseconds);
                await Task.Delay(delay, time, cancellationToken);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Stopped.
        }
        catch (Exception e)
        {
            LogWatchFailed(logger, silo.Link.Address, e);
        }
    }

    // Not a seed, not named by the silos that answer, and nothing of ours lives there.
    private bool IsForgotten(SiloState silo)
    {
        if (_seeds.Contains(silo.Link.Address) || !IsConnected || _named.Contains(silo.Link.Address, StringComparer.OrdinalIgnoreCase)
            || sessions.SessionsAt(silo.Link.Address).Count > 0 || !_silos.TryRemove(silo.Link.Address, out _))
        {
            return false;
        }

        silo.Link.Dispose();
        return true;
    }

    private async Task MeasureAsync(SiloState silo, CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                var begin = time.GetTimestamp();
                Learn(await silo.Link.HelloAsync(hello(), cancellationToken));
                silo.Measured(time.GetElapsedTime(begin));
                await Task.Delay(s_measureInterval, time, cancellationToken);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or GridException)
        {
            // The control stream will tell; what was measured stays.
        }
    }

    private void Learn(GatewayWelcome welcome)
    {
        _firstWelcome.TrySetResult(welcome);
        _named = welcome.Silos;
        Watch(welcome.Silos);
    }
}
