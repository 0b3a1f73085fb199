using Microsoft.Extensions.Hosting;

namespace Relay.GrainHost.Hosting;

/// <summary>
/// Runs the silo with the process: joins when the services start, opens it to others when all services (the listener among
/// them) have started, leaves before they stop. An address that is known only once the listener is up may be set until then.
/// </summary>
internal sealed class GrainHostService(GrainSilo silo, GrainHostOptions options, IHostApplicationLifetime lifetime) : IHostedLifecycleService
{
    private bool _joined;

    public Task StartingAsync(CancellationToken cancellationToken)
    {
        silo.Evicted += lifetime.StopApplication;
        return Task.CompletedTask;
    }

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        if (options.Address.Length == 0) return;
        await silo.JoinAsync(cancellationToken).ConfigureAwait(false);
        _joined = true;
    }

    public async Task StartedAsync(CancellationToken cancellationToken)
    {
        if (!_joined) await silo.JoinAsync(cancellationToken).ConfigureAwait(false);
        await silo.ActivateAsync(cancellationToken).ConfigureAwait(false);
    }

    public Task StoppingAsync(CancellationToken cancellationToken) => silo.StopAsync(cancellationToken);

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
