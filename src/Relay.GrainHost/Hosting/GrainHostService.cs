using Microsoft.Extensions.Hosting;

namespace Relay.GrainHost.Hosting;

/// <summary>
/// Runs the silo with the process: joins when the services start, opens it to others when all services (the listener among
/// them) have started, leaves before they stop. An address that is known only once the listener is up may be set until then.
/// With <see cref="GrainHostOptions.JoinWhen"/> it joins later, and the process starts without it.
/// </summary>
internal sealed class GrainHostService(GrainSilo silo, GrainHostOptions options, IHostApplicationLifetime lifetime, TimeProvider time) : IHostedLifecycleService, IDisposable
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(250);

    private readonly CancellationTokenSource _stopping = new();
    private Task _joining = Task.CompletedTask;
    private bool _joined;

    public Task StartingAsync(CancellationToken cancellationToken)
    {
        silo.Evicted += lifetime.StopApplication;
        return Task.CompletedTask;
    }

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        if (options.JoinWhen is not null || options.Address.Length == 0) return;
        await silo.JoinAsync(cancellationToken).ConfigureAwait(false);
        _joined = true;
    }

    public async Task StartedAsync(CancellationToken cancellationToken)
    {
        if (options.JoinWhen is { } ready)
        {
            _joining = JoinLaterAsync(ready, _stopping.Token);
            return;
        }

        if (!_joined) await silo.JoinAsync(cancellationToken).ConfigureAwait(false);
        await silo.ActivateAsync(cancellationToken).ConfigureAwait(false);
    }

    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        await _stopping.CancelAsync().ConfigureAwait(false);
        await _joining.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await silo.StopAsync(cancellationToken).ConfigureAwait(false);
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public void Dispose() => _stopping.Dispose();

    private async Task JoinLaterAsync(Func<CancellationToken, Task> ready, CancellationToken cancellationToken)
    {
        while (true)
        {
            await ready(cancellationToken).ConfigureAwait(false);
            try
            {
                await silo.StartAsync(cancellationToken).ConfigureAwait(false);
                return;
            }
            catch (Exception e) when (!cancellationToken.IsCancellationRequested)
            {
                // The table is gone again, or somebody else is writing it.
                silo.ReportNotJoined(e);
                await Task.Delay(Pause, time, cancellationToken).ConfigureAwait(false);
            }
        }
    }
}
