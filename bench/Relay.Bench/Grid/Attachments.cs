using System.Diagnostics;
using System.Globalization;
using Npgsql;
using Relay.Bench.Ssh;

namespace Relay.Bench.Grid;

/// <summary>
/// Up to 10,000 connectors on one silo: how fast they attach and detach and what of PostgreSQL that takes, how many leases a second of
/// renewing renews, and how much of the silo's memory each holds; at growing numbers, so that the curve shows.
/// </summary>
internal sealed class Attachments : IBenchmark
{
    private const string AttachRow = "grid.attach_per_second";
    private const string RenewRow = "grid.renewals_per_second";
    private const string MemoryRow = "grid.memory_per_connector";
    private static readonly int[] Sizes = [1_000, 2_500, 5_000, 10_000];
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    public string Prefix => "grid.";

    public async Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        if (!report.Wants(AttachRow) && !report.Wants(RenewRow) && !report.Wants(MemoryRow))
            return;
        await using var live = await LiveGrid.StartAsync(1);
        await using var store = NpgsqlDataSource.Create(live.Grid.Database);
        await using var swarm = await AgentSwarm.CreateAsync(live, Sizes[^1], cancellationToken);
        var silo = live.Grid.Silos[0].Process.Id;

        // Whatever making them has left in memory is not theirs.
        await LiveGrid.SettledAsync(silo);
        var empty = ProcessMemory.Bytes(silo);
        var (attach, renew, memory) = (0.0, 0.0, 0.0);
        foreach (var size in Sizes)
        {
            var more = size - swarm.Attached;
            var (commits, cpu, start) = (await CommitsAsync(store), ProcessCpu.Seconds(silo), Stopwatch.GetTimestamp());
            await swarm.AttachAsync(size, cancellationToken);
            await LeasesAsync(store, size);
            var seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            attach = more / seconds;
            var commitsEach = (await CommitsAsync(store) - commits) / (double)more;
            Report.Note(string.Create(CultureInfo.InvariantCulture,
                $"{size,6} attached, the last {more} of them at {attach:0} a second: {(ProcessCpu.Seconds(silo) - cpu) / more * 1e3:0.00} ms of the silo's processor time and {commitsEach:0.0} commits each"));
            var before = await RenewalsAsync(live);
            cpu = ProcessCpu.Seconds(silo);
            start = Stopwatch.GetTimestamp();
            var after = await RenewalsAsync(live);
            while (after.Turns < before.Turns + 2)
            {
                if (Stopwatch.GetElapsedTime(start) > Patience)
                    throw new InvalidOperationException("Leases are not renewed.");
                await Task.Delay(TimeSpan.FromMilliseconds(200), TimeProvider.System, cancellationToken);
                after = await RenewalsAsync(live);
            }

            if (after.Leases - before.Leases < size)
                throw new InvalidOperationException($"{after.Leases - before.Leases} leases were renewed in two turns: not all are.");
            renew = (after.Leases - before.Leases) / (after.Seconds - before.Seconds);
            memory = (ProcessMemory.Bytes(silo) - empty) / 1024.0 / size;
            Report.Note(string.Create(CultureInfo.InvariantCulture,
                $"       leases are renewed at {renew:0} a second, {(after.Seconds - before.Seconds) / (after.Turns - before.Turns) * 1e3:0} ms for all of them; the idle silo takes {(ProcessCpu.Seconds(silo) - cpu) / Stopwatch.GetElapsedTime(start).TotalSeconds * 100:0} % of a core; {memory:0} KiB each"));
        }

        report.Add(AttachRow, "1/s", Better.Higher, attach);
        report.Add(RenewRow, "1/s", Better.Higher, renew);
        report.Add(MemoryRow, "KiB", Better.Lower, memory);
        var (leaving, left) = (await CommitsAsync(store), Stopwatch.GetTimestamp());
        await swarm.DetachAsync();
        await LeasesAsync(store, 0);
        var rate = Sizes[^1] / Stopwatch.GetElapsedTime(left).TotalSeconds;
        leaving = await CommitsAsync(store) - leaving;
        Report.Note(string.Create(CultureInfo.InvariantCulture, $"{Sizes[^1]} detached at {rate:0} a second, {leaving / (double)Sizes[^1]:0.0} commits each"));
    }

    private static async Task<long> CommitsAsync(NpgsqlDataSource store)
    {
        await using var command = store.CreateCommand("SELECT pg_stat_clear_snapshot()::text; SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()");
        await using var reader = await command.ExecuteReaderAsync();
        await reader.NextResultAsync();
        await reader.ReadAsync();
        return reader.GetInt64(0);
    }

    private static async Task LeasesAsync(NpgsqlDataSource store, int held)
    {
        await using var command = store.CreateCommand("SELECT count(*) FROM connector_lease WHERE expires_at > '-infinity'");
        var start = Stopwatch.GetTimestamp();
        while ((long)(await command.ExecuteScalarAsync())! != held)
        {
            if (Stopwatch.GetElapsedTime(start) > Patience)
                throw new InvalidOperationException($"There are not {held} leases but {await command.ExecuteScalarAsync()}.");
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System);
        }
    }

    private static async Task<(long Leases, long Turns, double Seconds)> RenewalsAsync(LiveGrid live)
    {
        var metrics = (await live.MetricsAsync(0)).Split('\n');
        double Value(string name) => double.Parse(metrics.First(l => l.StartsWith(name + " ", StringComparison.Ordinal)).Split(' ')[1], CultureInfo.InvariantCulture);
        return ((long)Value("relay_lease_renewals_total"), (long)Value("relay_lease_renewal_seconds_count"), Value("relay_lease_renewal_seconds_sum"));
    }
}
