using System.Collections.Immutable;
using Dapper;
using Npgsql;
using Orleans.Runtime;
using Relay.GrainHost.Membership;
using Relay.Silo.Grid;
using Relay.Silo.Hosting;
using SiloOptions = Relay.Silo.Hosting.SiloOptions;

namespace Relay.Silo.GrainHosting;

/// <summary>
/// Orleans' membership as the grid needs it: who serves and who died, under the addresses and incarnations that leases, fences and
/// gateways know. Those are in silo_member, which this keeps in step; a silo's name in Orleans says which row it is. Safe for
/// concurrent use.
/// </summary>
internal sealed partial class OrleansMembers(
    IClusterMembershipService cluster, NpgsqlDataSource database, SiloOptions options, SiloEndpoints endpoints, SiloIdentity self,
    TimeProvider time, ILogger<OrleansMembers> logger) : BackgroundService, IMembership, IGridLeaving
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan SignOfLife = TimeSpan.FromSeconds(10);

    private readonly SemaphoreSlim _refreshing = new(1);
    private ImmutableArray<SiloMember> _members = [];
    private bool _joined;

    public event Action<IMembership>? Changed;

    /// <summary>Never raised: Orleans ends the process of a silo that finds itself dead.</summary>
    public event Action? Evicted
    {
        add { }
        remove { }
    }

    public long Version => cluster.CurrentSnapshot.Version.Value;

    public ImmutableArray<SiloMember> Members => ImmutableInterlocked.InterlockedCompareExchange(ref _members, default, default);

    public ImmutableArray<SiloMember> ActiveSilos => Active(Members);

    public async Task RefreshAsync(CancellationToken cancellationToken)
    {
        await _refreshing.WaitAsync(cancellationToken);
        try
        {
            var former = Members;
            var now = await ReadAsync(cancellationToken);
            ImmutableInterlocked.InterlockedExchange(ref _members, now);
            if (!Active(now).Select(Key).SequenceEqual(Active(former).Select(Key)))
                Changed?.Invoke(this);
        }
        finally
        {
            _refreshing.Release();
        }
    }

    public Task LeaveAsync(CancellationToken cancellationToken) =>
        WriteAsync("UPDATE silo_member SET status = 'shutting_down' WHERE incarnation = @Incarnation AND status = 'active'", cancellationToken);

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        if (_joined)
            await TryAsync(token => WriteAsync("UPDATE silo_member SET status = 'dead' WHERE incarnation = @Incarnation", token), cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Period, time);
        long? alive = null;
        do
        {
            if (!_joined)
                _joined = await TryAsync(JoinAsync, stoppingToken);
            else if (alive is null || time.GetElapsedTime(alive.Value) >= SignOfLife)
            {
                alive = time.GetTimestamp();
                await TryAsync(token => WriteAsync("UPDATE silo_member SET alive_at = clock_timestamp() WHERE incarnation = @Incarnation", token), stoppingToken);
            }

            await TryAsync(RefreshAsync, stoppingToken);
        }
        while (await timer.WaitForNextTickAsync(stoppingToken));
    }

    private static ImmutableArray<SiloMember> Active(ImmutableArray<SiloMember> members) =>
        [.. members.Where(m => m.Status == MemberStatus.Active).OrderBy(m => m.Address, StringComparer.Ordinal)];

    private static (string, Guid) Key(SiloMember member) => (member.Address, member.Incarnation);

    private Task JoinAsync(CancellationToken cancellationToken) => WriteAsync(
        """
        UPDATE silo_member SET status = 'dead' WHERE address = @Address AND incarnation <> @Incarnation AND status <> 'dead';
        INSERT INTO silo_member (address, incarnation, status, name, region, connector_address, version)
        VALUES (@Address, @Incarnation, 'active', @Name, @Region, @Connectors, @Version) ON CONFLICT DO NOTHING
        """,
        cancellationToken);

    private async Task<ImmutableArray<SiloMember>> ReadAsync(CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        var rows = await connection.QueryAsync<Row>(new CommandDefinition(
            "SELECT address, incarnation, status, name, region, connector_address, version, started_at, alive_at FROM silo_member",
            cancellationToken: cancellationToken));
        var known = cluster.CurrentSnapshot.Members.Values.ToLookup(m => m.Name, m => m.Status);
        var members = ImmutableArray.CreateBuilder<SiloMember>();
        var died = new List<Guid>();
        foreach (var row in rows)
        {
            // A row that Orleans does not know has died so long ago that it was cleaned away, or has not got that far.
            var status = known[row.Incarnation.ToString("D")].Select(Status).DefaultIfEmpty(row.Status == "dead" ? MemberStatus.Dead : MemberStatus.Joining).Max();

            // Orleans shuts a silo down in one go; that it drains before is only in its row.
            if (status == MemberStatus.Active && row.Status == "shutting_down")
                status = MemberStatus.ShuttingDown;
            if (status == MemberStatus.Dead && row.Status != "dead")
                died.Add(row.Incarnation);
            members.Add(new SiloMember(row.Address, row.Incarnation, status, row.Name, row.Region, row.ConnectorAddress, row.Version, row.StartedAt, row.AliveAt));
        }

        if (died.Count > 0)
            await connection.ExecuteAsync(new CommandDefinition("UPDATE silo_member SET status = 'dead' WHERE incarnation = ANY(@died)", new { died }, cancellationToken: cancellationToken));
        return members.ToImmutable();
    }

    private static MemberStatus Status(SiloStatus status) => status switch
    {
        SiloStatus.Active => MemberStatus.Active,
        SiloStatus.ShuttingDown or SiloStatus.Stopping => MemberStatus.ShuttingDown,
        SiloStatus.Dead => MemberStatus.Dead,
        _ => MemberStatus.Joining,
    };

    private async Task WriteAsync(string sql, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        var parameters = new { self.Address, self.Incarnation, self.Name, options.Region, endpoints.Connectors, SiloIdentity.Version };
        await connection.ExecuteAsync(new CommandDefinition(sql, parameters, cancellationToken: cancellationToken));
    }

    /// <summary>False: the store is out of reach, to be tried again. What was known stays true meanwhile.</summary>
    private async Task<bool> TryAsync(Func<CancellationToken, Task> action, CancellationToken cancellationToken)
    {
        try
        {
            await action(cancellationToken);
            return true;
        }
        catch (Exception e) when (e is NpgsqlException or TimeoutException)
        {
            LogStoreFailed(logger, e.Message);
            return false;
        }
    }

    [LoggerMessage(4710, LogLevel.Debug, "members were not read from the store: {Reason}")]
    private static partial void LogStoreFailed(ILogger logger, string reason);

    private sealed class Row
    {
        public string Address { get; init; } = "";

        public Guid Incarnation { get; init; }

        public string Status { get; init; } = "";

        public string Name { get; init; } = "";

        public string Region { get; init; } = "";

        public string ConnectorAddress { get; init; } = "";

        public string Version { get; init; } = "";

        public DateTimeOffset StartedAt { get; init; }

        public DateTimeOffset AliveAt { get; init; }
    }
}
