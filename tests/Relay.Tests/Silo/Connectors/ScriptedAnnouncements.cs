using Relay.Protocol.Grid;
using Relay.Silo.Connectors;

namespace Relay.Tests.Silo.Connectors;

/// <summary>Announces what the test says.</summary>
internal sealed class ScriptedAnnouncements : ISiloAnnouncements
{
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private SiloAnnouncements _silos = new(0, []);

    public Task Changed => _changed.Task;

    public SiloAnnouncements ForConnectors() => _silos;

    public void Announce(long version, params (TestSilo Silo, string State)[] silos)
    {
        _silos = new SiloAnnouncements(version, [.. silos.Select(s => new SiloAnnouncement(s.Silo.ConnectorAddress, s.Silo.Identity.Name, null, s.State, 3600))]);
        Interlocked.Exchange(ref _changed, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult();
    }
}
