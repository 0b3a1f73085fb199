using Relay.GrainHost.Membership;
using Relay.Protocol.Grid;
using Relay.Silo.Connectors;
using Relay.Silo.Hosting;
using Relay.Silo.Sessions;

namespace Relay.Silo.Grid;

/// <summary>
/// Which silos there are, for gateways and connectors to choose from: the membership as this silo knows it, and of itself what it
/// knows better. Told anew at every change and every 20 s, so that nobody lives on what was true once. Safe for concurrent use.
/// </summary>
internal sealed partial class SiloAnnouncer(
    IMembership membership, SiloIdentity local, SiloOptions options, SiloEndpoints endpoints, DrainState drain, GatewaySubscriptions gateways, TimeProvider time, ILogger<SiloAnnouncer> logger)
    : BackgroundService, ISiloAnnouncements
{
    /// <summary>How often it is repeated without a change.</summary>
    public static readonly TimeSpan Repeat = TimeSpan.FromSeconds(20);

    private static readonly TimeSpan SilentAfter = TimeSpan.FromMinutes(1);

    private readonly Snapshots.Wakeup _wakeup = new();
    private volatile TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Ends at the next change or repetition. Take it before reading the announcement.</summary>
    public Task Changed => _changed.Task;

    /// <summary>With the grid's addresses.</summary>
    public SiloAnnouncements ForGateways() => Announce(m => m.Address, endpoints.Grid);

    /// <summary>With the addresses that connectors dial.</summary>
    public SiloAnnouncements ForConnectors() => Announce(m => m.ConnectorAddress, endpoints.Connectors);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        membership.Changed += OnChanged;
        await using var draining = drain.Begun.UnsafeRegister(static a => ((SiloAnnouncer)a!)._wakeup.Set(), this);
        try
        {
            while (true)
            {
                await _wakeup.WaitAsync(Repeat, time, stoppingToken);
                Interlocked.Exchange(ref _changed, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();
                var silos = ForGateways();
                gateways.PublishToAll(new ControlMessage("silos", null, null, silos));
                LogAnnounced(logger, silos.Version, silos.Silos.Count(s => s.State == SiloAnnouncement.Active), silos.Silos.Count);
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The silo stops.
        }
        finally
        {
            membership.Changed -= OnChanged;
        }
    }

    private void OnChanged(IMembership _) => _wakeup.Set();

    private SiloAnnouncements Announce(Func<SiloMember, string> address, string own)
    {
        var now = time.GetUtcNow();
        var members = membership.Members;

        // Compared with each other, not with a clock: while the table cannot be read nobody is silent.
        var silent = members.Length == 0 ? default : members.Max(m => m.AliveAt) - SilentAfter;
        var silos = new List<SiloAnnouncement>
        {
            // A silo whose row cannot be written, or was not read yet, is there all the same.
            new(own, options.Name, options.Region, drain.IsDraining ? SiloAnnouncement.Draining : SiloAnnouncement.Active, Age(members.FirstOrDefault(IsLocal)?.StartedAt)),
        };
        silos.AddRange(members
            .Where(m => m.Status is MemberStatus.Active or MemberStatus.ShuttingDown && m.AliveAt >= silent && !IsLocal(m) && address(m).Length > 0)
            .OrderBy(m => m.Status).ThenBy(m => m.StartedAt)
            .Take(SiloChoice.MaxSilos - 1)
            .Select(m => new SiloAnnouncement(
                address(m), m.Name, m.Region, m.Status == MemberStatus.Active ? SiloAnnouncement.Active : SiloAnnouncement.Draining, Age(m.StartedAt))));
        return new SiloAnnouncements(membership.Version, silos);

        long Age(DateTimeOffset? started) => started is { } at && at < now ? (long)(now - at).TotalSeconds : 0;
    }

    private bool IsLocal(SiloMember member) => member.Incarnation == local.Incarnation && member.Address == local.Address;

    [LoggerMessage(4012, LogLevel.Debug, "announced silos: version {Version}, {Active} active of {Count}")]
    private static partial void LogAnnounced(ILogger logger, long version, int active, int count);
}
