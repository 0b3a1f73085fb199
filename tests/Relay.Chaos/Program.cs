using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.Json;
using Relay.Chaos.Checks;
using Relay.Chaos.Grid;
using Relay.Chaos.History;
using Relay.Chaos.Load;
using Relay.Chaos.Network;
using Relay.Chaos.Run;
using Relay.Chaos.Schedule;

ChaosOptions options;
try
{
    options = ChaosOptions.Read(args);
}
catch (ArgumentException e)
{
    Console.Error.WriteLine($"Error: {e.Message}");
    return 2;
}

if (options.Check is { } old)
{
    HistoryEvent[] known = [.. File.ReadLines(old).Select(line => JsonSerializer.Deserialize(line, HistoryJson.Default.HistoryEvent)!)];
    var again = Checker.Check(known);
    Console.Write(Report.Write(old, known, again));
    return again.Any(r => r.Violations.Count > 0) ? 1 : 0;
}

Directory.CreateDirectory(options.Folder);
var file = Path.GetFullPath(Path.Combine(options.Folder, $"seed-{options.Seed}.jsonl"));
using var history = new RunHistory(file);
var begin = Stopwatch.GetTimestamp();
var rounds = 0;
ChaosGrid? grid = null;
IReadOnlyList<HistoryEvent> events;

// Whoever stops the run does not want to keep three silos.
void Stop(PosixSignalContext context)
{
    context.Cancel = true;
    history.Finish();
    grid?.DisposeAsync().AsTask().Wait(TimeSpan.FromSeconds(20));
    Environment.Exit(1);
}

using var terminated = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
using var interrupted = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
try
{
    Console.WriteLine($"chaos: seed {options.Seed}, history in {file}");
    history.Add(new HistoryEvent(history.Now, Kinds.RunBegin) { Id = options.Seed, Reason = options.Only.Count > 0 ? string.Join(',', options.Only) : null });
    grid = await ChaosGrid.StartAsync(history, Path.Combine(options.Folder, $"seed-{options.Seed}"));
    await using var workload = new Workload(grid, options.Seed);
    workload.Start();
    var (seconds, failure) = await Sweep.RunAsync(grid, TimeSpan.FromSeconds(60));
    if (failure is not null)
        throw new InvalidOperationException($"The grid does not work before anything was broken: {failure}");
    Console.WriteLine($"chaos: the grid is up after {Stopwatch.GetElapsedTime(begin).TotalSeconds:0.0} s");
    begin = Stopwatch.GetTimestamp();
    var runner = new FaultRunner(grid);
    foreach (var round in FaultSchedule.For(options.Seed, options.Only))
    {
        if (Stopwatch.GetElapsedTime(begin).TotalMinutes >= options.Minutes || rounds == options.Rounds)
            break;
        rounds++;
        history.Add(new HistoryEvent(history.Now, Kinds.RoundBegin) { Id = round.Number });
        Console.WriteLine($"{history.Now / 1000,8:0.0} s  round {round.Number}: {string.Join(" and ", round.Faults.Select(f => $"{f.Fault.Name} ({f.Target}) for {f.Hold:0.0} s"))}");
        await runner.RunAsync(round);
    }

    await workload.StopAsync();
    await new Aftermath(grid).ReadAsync(workload.Sessions);
    events = history.Finish();
}
catch (ChaosSetupException e)
{
    Console.Error.WriteLine($"Error: chaos could not run: {e.Message}");
    return 1;
}
catch (Exception e)
{
    Console.Error.WriteLine($"Error: chaos could not go on: {e}\n{grid?.Logs()}\nseed {options.Seed}, history in {file}");
    return 1;
}
finally
{
    history.Finish();
    if (grid is not null)
        await grid.DisposeAsync();
}

var results = Checker.Check(events);
Console.Write(Report.Write(file, events, results));
return results.Any(r => r.Violations.Count > 0) ? 1 : 0;
