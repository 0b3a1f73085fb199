using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Relay.Protocol.Grid;

namespace Relay.Gateway.Grid;

/// <summary>
/// All silos the gateway knows. Each has a control stream of its own (a session's silo must be able to end it, wherever new
/// sessions go) and is pinged all the time; <see cref="SiloChoice"/> says which one new sessions go to.
/// Safe for concurrent use.
/// </summary>
internal sealed partial class SiloPool(
    Func<GatewayHello> hello, Func<GatewayCredential> credential, ISessionControl sessions, string region, TimeProvider time, ILogger<SiloPool> logger)
    : ISiloFallback, IAsyncDisposable
{
    // Together less than two seconds: a frozen silo is left by then, and whoever waits for it asks another one.
    private static readonly SiloChoiceOptions s_choice = new() { Interval = TimeSpan.FromMilliseconds(600), Wins = 10 };
    private static readonly TimeSpan s_pingDeadline = TimeSpan.FromSeconds(1);

    // A few tries: what the grid does not announce any more does not come back under that address soon.
    private const int ForgetAfterFailures = 3;

    private readonly SiloChoice _choice = new(s_choice with { Region = region }, time);
    private readonly ConcurrentDictionary<string, SiloState> _silos = new(StringComparer.OrdinalIgnoreCase);
    private readonly TaskCompletionSource<GatewayWelcome> _firstWelcome = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<WireGuardNetwork> _network = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private string? _home;
    private long _moves;
    private volatile bool _disposed;

    /// <summary>The welcome of the silo that answered first: it carries the host key, the same from every silo.</summary>
    public Task<GatewayWelcome> FirstWelcome => _firstWelcome.Task;

    /// <summary>What all gateways share of WireGuard, from the first silo that knows: one of an older version does not.</summary>
    public Task<WireGuardNetwork> Network => _network.Task;

    /// <summary>At least one silo can be asked.</summary>
    public bool IsConnected => _silos.Values.Any(s => s.Subscribed);

    /// <summary>The silo that new sessions go to first; null: none is known.</summary>
    public string? Chosen => _choice.Current;

    /// <summary>How often new sessions began to go to another silo.</summary>
    public long Moves => Interlocked.Read(ref _moves);

    /// <summary>Starts watching the silos that were configured; these are never forgotten.</summary>
    public void Start(IReadOnlyList<string> seeds)
    {
        _choice.Seed(seeds);
        Watch(seeds);
    }

    /// <summary>Asks the chosen silo; when it does not answer, each other one once, best first.</summary>
    /// <exception cref="GridException">The silo refused, or none answered.</exception>
    public async Task<(SiloLink Silo, T Answer)> AskAsync<T>(Func<SiloLink, CancellationToken, Task<T>> question, CancellationToken cancellationToken)
    {
        GridException? last = null;
        HashSet<SiloState> asked = [];
        while (Choose(asked) is { } silo)
        {
            asked.Add(silo);
            var down = silo.Down;
            using var either = CancellationTokenSource.CreateLinkedTokenSource(down, cancellationToken);
            try
            {
                return (silo.Link, await question(silo.Link, either.Token));
            }
            catch (GridException e) when (e.IsFull)
            {
                // Nothing is wrong with it for whoever needs no place.
                last = e;
                continue;
            }
            catch (GridException e) when (e.IsTransient)
            {
                last = e;
            }
            catch (OperationCanceledException e) when (down.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
            {
                last = new GridException("The silo stopped answering.", null, "timeout", e);
            }

            LogFailOver(logger, silo.Link.Address, last.Code);
            _choice.Failed(silo.Link.Address);
        }

        throw last ?? new GridException("No silo can be reached.", null, "unreachable");
    }

    /// <summary>Silos that can be asked, best first, each with what is cancelled when it is next found not to answer.</summary>
    public IReadOnlyList<(SiloLink Silo, CancellationToken Down)> Answering() =>
        [.. Ranked().Where(s => s.Subscribed).Select(s => (s.Link, s.Down))];

    /// <summary>Tells the silos anew who this gateway is. One that does not answer is told when it does.</summary>
    public async Task IntroduceAsync(CancellationToken cancellationToken)
    {
        foreach (var (silo, _) in Answering())
        {
            try
            {
                Learn(await silo.HelloAsync(hello(), cancellationToken));
            }
            catch (GridException e)
            {
                LogNoAnswer(logger, silo.Address, e.Code);
            }
        }
    }

    /// <inheritdoc/>
    public IEnumerable<SiloLink> Besides(SiloLink own) =>
        _choice.Ranked().Select(a => _silos.GetValueOrDefault(a)).OfType<SiloState>().Where(s => s.Subscribed && s.Link != own).Select(s => s.Link);

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
            if (_disposed || _silos.ContainsKey(address) || !GridAddress.TryParse(address, out _, out _))
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

    // The chosen one, then the others by rank; those that can end sessions before those that cannot be told.
    private SiloState? Choose(HashSet<SiloState> except)
    {
        var current = _choice.Current;
        if (current != _home)
        {
            _home = current;
            Interlocked.Increment(ref _moves);
            LogHome(logger, current ?? "");
        }

        var ranked = Ranked().Where(s => !except.Contains(s)).ToArray();
        return Array.Find(ranked, s => s.Subscribed) ?? (ranked.Length > 0 ? ranked[0] : null);
    }

    private IEnumerable<SiloState> Ranked() =>
        _choice.Ranked().Prepend(_choice.Current ?? "").Distinct(StringComparer.OrdinalIgnoreCase).Select(a => _silos.GetValueOrDefault(a)).OfType<SiloState>();

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
                    var measured = Task.CompletedTask;
                    try
                    {
                        await new ControlStream(silo.Link, sessions, time).RunAsync(
                            () =>
                            {
                                silo.Failures = 0;
                                silo.Subscribed = true;
                                LogSubscribed(logger, silo.Link.Address);
                                measured = MeasureAsync(silo, measuring.Token);
                            },
                            Learn,
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

                _choice.Failed(silo.Link.Address);
                silo.GoDown();
                if (++silo.Failures >= ForgetAfterFailures && IsForgotten(silo))
                {
                    LogForgotten(logger, silo.Link.Address);
                    return;
                }

                // Full jitter: after a silo's restart not all gateways come back at once.
                var ceiling = Math.Min(10_000, 250 << Math.Min(silo.Failures - 1, 6));
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

    // Not a seed, not announced by the silos that answer, and nothing of ours lives there.
    private bool IsForgotten(SiloState silo)
    {
        var address = silo.Link.Address;
        if (!IsConnected || _choice.Addresses.Contains(address, StringComparer.OrdinalIgnoreCase) || sessions.SessionsAt(address).Count > 0 || !_silos.TryRemove(address, out _))
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
                try
                {
                    await silo.Link.PingAsync(s_pingDeadline, cancellationToken);
                    _choice.Measured(silo.Link.Address, time.GetElapsedTime(begin));
                }
                catch (GridException e)
                {
                    // Its control stream may live on: it ends no session, but new ones go elsewhere until it answers.
                    LogNoAnswer(logger, silo.Link.Address, e.Code);
                    _choice.Failed(silo.Link.Address);
                    silo.GoDown();
                }

                await Task.Delay(_choice.NextMeasurement(), time, cancellationToken);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // The control stream is over.
        }
    }

    private void Learn(GatewayWelcome welcome)
    {
        if (welcome.WireGuard is { } network)
        {
            _network.TrySetResult(network);
        }

        _firstWelcome.TrySetResult(welcome);

        // A silo of an older version says only who is active; what a newer one has said counts more.
        Learn(welcome.Announced ?? new SiloAnnouncements(
            0, [.. (welcome.Silos ?? []).Select(a => new SiloAnnouncement(a, a, null, SiloAnnouncement.Active, (long)TimeSpan.FromHours(1).TotalSeconds))]));
    }

    private void Learn(SiloAnnouncements announced)
    {
        if (_choice.Announce(announced))
            Watch(_choice.Addresses);
    }
}
