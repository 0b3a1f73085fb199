using System.Text.Json;
using Relay.Chaos.Grid;
using Relay.Chaos.History;
using Relay.Chaos.Load;
using Relay.Chaos.Schedule;

namespace Relay.Chaos.Run;

/// <summary>Does to the grid what the schedule says, mends it, and sees how long the grid needs to work again.</summary>
internal sealed class FaultRunner(ChaosGrid grid)
{
    private static readonly TimeSpan ServedBound = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan RecoveryBound = TimeSpan.FromSeconds(30);

    private readonly RunHistory _history = grid.History;

    public async Task RunAsync(Round round)
    {
        await Task.Delay(TimeSpan.FromSeconds(round.Calm), TimeProvider.System);
        await Task.WhenAll(round.Faults.Select(f => RunAsync(f, alone: round.Faults.Count == 1)));
        var (seconds, failure) = await Sweep.RunAsync(grid, RecoveryBound);
        foreach (var fault in round.Faults)
            _history.Add(new HistoryEvent(_history.Now, Kinds.Recovered) { Id = fault.Id, Fault = fault.Fault.Name, Seconds = seconds, Good = failure is null, Reason = failure });
    }

    private async Task RunAsync(PlannedFault fault, bool alone)
    {
        await Task.Delay(TimeSpan.FromSeconds(fault.Delay), TimeProvider.System);
        var action = Action(fault);
        _history.Add(new HistoryEvent(_history.Now, Kinds.FaultBegin) { Id = fault.Id, Fault = fault.Fault.Name, Node = action.Node, Touches = action.Touches });
        await action.Begin();
        var hold = Task.Delay(TimeSpan.FromSeconds(fault.Hold), TimeProvider.System);
        if (alone && action.ServesMeanwhile)
        {
            var (_, failure) = await Sweep.RunAsync(grid, ServedBound);
            _history.Add(new HistoryEvent(_history.Now, Kinds.ServedMeanwhile) { Id = fault.Id, Fault = fault.Fault.Name, Good = failure is null, Reason = failure });
        }

        await hold;
        await action.Mend();
        _history.Add(new HistoryEvent(_history.Now, Kinds.FaultEnd) { Id = fault.Id, Fault = fault.Fault.Name });
    }

    private FaultAction Action(PlannedFault fault)
    {
        var silo = ChaosGrid.Silos[fault.Target % ChaosGrid.Silos.Count];
        string[] others = [.. ChaosGrid.Silos.Where(s => s != silo)];
        string[] store = [Store.NodeA, Store.NodeB];
        var gateway = ChaosGrid.Gateways[fault.Target % ChaosGrid.Gateways.Count];
        var agent = ChaosGrid.Agents[fault.Target % ChaosGrid.Agents.Count].Node;
        var anySilo = ChaosGrid.Silos[fault.Other % ChaosGrid.Silos.Count];
        return fault.Fault.Name switch
        {
            Faults.KillSilo => Kill(silo),
            Faults.FreezeSiloShortly => Freeze(silo, []),
            Faults.FreezeSilo => Freeze(silo, [silo]),
            Faults.IsolateSilo => Cut(silo, [silo, .. Links(silo, others)], [.. Both(silo, others), .. Both(silo, store)]),
            Faults.CutSiloOneWay => Cut(silo, [silo, .. Links(silo, others)], [.. others.Select(o => (silo, o))]),
            Faults.CutTwoSilos => Cut(silo, [.. Links(silo, [others[fault.Other % 2]])], [.. Both(silo, [others[fault.Other % 2]])]),
            Faults.CutSiloFromStore => Cut(silo, [], [.. Both(silo, store)], serves: true),
            Faults.SlowSilo => Slow(silo, [.. others, .. store, .. ChaosGrid.Gateways], TimeSpan.FromMilliseconds(50 + (fault.Other % 200))),
            Faults.KillGateway => Kill(gateway),
            Faults.CutGateway => Cut(gateway, [.. Links(gateway, [anySilo])], [.. Both(gateway, [anySilo])]),
            Faults.KillAgent => Kill(agent),
            Faults.CutAgent => Cut(agent, [.. Links(agent, ChaosGrid.Silos)], [.. Both(agent, ChaosGrid.Silos)]),
            Faults.FreezeAgent => Freeze(agent, [agent]),
            Faults.StopStore => new(null, [], grid.Store.CrashAsync, grid.Store.RestartAsync, ServesMeanwhile: true),
            Faults.FreezeStore => new(null, [], grid.Store.FreezeAsync, grid.Store.ThawAsync),
            Faults.FailOverStore => new(null, [], () => grid.Store.FailOverAsync(TimeSpan.FromSeconds(fault.Other % 4)), grid.Store.BuildStandbyAsync, ServesMeanwhile: true),
            Faults.JumpClock => new(null, [], () => grid.Store.SetClockAsync(fault.Target == 0 ? TimeSpan.FromMinutes(60) : TimeSpan.FromMinutes(-60)), () => grid.Store.SetClockAsync(TimeSpan.Zero), ServesMeanwhile: true),
            Faults.FillDisk => FillDisk(silo),
            Faults.RevokePolicy => RevokePolicy(fault, ChaosGrid.RevocableSockets[fault.Target % ChaosGrid.RevocableSockets.Count]),
            Faults.KillSessions => new(null, [], () => KillSessionsAsync(fault, ChaosGrid.SweptSockets[fault.Target % ChaosGrid.SweptSockets.Count]), static () => Task.CompletedTask),
            _ => throw new InvalidOperationException($"Nobody knows how to do {fault.Fault.Name}."),
        };
    }

    private static IEnumerable<string> Links(string one, IEnumerable<string> others) => others.Select(o => HistoryEvent.Link(one, o));

    private static IEnumerable<(string From, string To)> Both(string one, IEnumerable<string> others) => others.SelectMany(o => new[] { (one, o), (o, one) });

    private FaultAction Kill(string node)
    {
        var place = grid.Place(node);
        return new(node, [node], async () =>
        {
            place.Hold();
            place.Process.Kill();
            await place.Process.Ended;
        }, () =>
        {
            place.Release();
            return Task.CompletedTask;
        });
    }

    private FaultAction Freeze(string node, string[] touches)
    {
        NodeProcess? frozen = null;
        return new(node, touches, () =>
        {
            frozen = grid.Place(node).Process;
            frozen.Freeze();
            return Task.CompletedTask;
        }, () =>
        {
            frozen!.Thaw();
            return Task.CompletedTask;
        });
    }

    private FaultAction Cut(string node, string[] touches, (string, string)[] directions, bool serves = false) =>
        new(node, touches, () => grid.Cuts.CutAsync(directions), () => grid.Cuts.MendAsync(directions), serves);

    private FaultAction Slow(string node, string[] others, TimeSpan delay) => new(node, [], async () =>
    {
        foreach (var other in others)
            await grid.SlowLinks.SlowAsync(node, other, delay);
    }, async () =>
    {
        foreach (var other in others)
            await grid.SlowLinks.MendAsync(node, other);
    }, ServesMeanwhile: true);

    // The store is gone and the silo has nowhere to keep what is meant for it: others keep it.
    private FaultAction FillDisk(string silo)
    {
        var file = Path.Combine(grid.StateOf(silo), "filler");
        return new(silo, [], async () =>
        {
            await using (var filler = File.Create(file))
            {
                var block = new byte[64 * 1024];
                try
                {
                    while (true)
                    {
                        await filler.WriteAsync(block);
                        await filler.FlushAsync();
                    }
                }
                catch (IOException)
                {
                    // Full.
                }
            }

            await grid.Store.CrashAsync();
        }, async () =>
        {
            await grid.Store.RestartAsync();
            File.Delete(file);
        }, ServesMeanwhile: true);
    }

    private FaultAction RevokePolicy(PlannedFault fault, string socket)
    {
        var done = false;
        return new(null, [], async () =>
        {
            done = await RevokeAsync(fault, socket, "policy", () => grid.Api.SendAsync(HttpMethod.Patch, $"policies/allow-{socket}", new { socket_ids = Array.Empty<string>() }));
        }, async () =>
        {
            if (done)
                _history.Add(new HistoryEvent(_history.Now, Kinds.RevokeOver) { Id = fault.Id, Sockets = [socket] });
            await grid.Api.SendAsync(HttpMethod.Patch, $"policies/allow-{socket}", new { socket_ids = new[] { socket } });
        });
    }

    private async Task KillSessionsAsync(PlannedFault fault, string socket) =>
        await RevokeAsync(fault, socket, "kill", () => grid.Api.SendAsync(HttpMethod.Post, "sessions/kill", new { socket }));

    private async Task<bool> RevokeAsync(PlannedFault fault, string socket, string how, Func<Task<JsonElement>> request)
    {
        _history.Add(new HistoryEvent(_history.Now, Kinds.RevokeBegin) { Id = fault.Id, Sockets = [socket], Reason = how });
        JsonElement answer;
        try
        {
            answer = await request();
        }
        catch (HttpRequestException)
        {
            // Something else is broken too: nothing was confirmed, so nothing is promised.
            return false;
        }

        // "On so many of so many silos": those that are missing follow as soon as they can.
        var everywhere = !answer.TryGetProperty("revocation", out var where) || where.GetProperty("confirmed").GetInt32() >= where.GetProperty("silos").GetInt32();
        _history.Add(new HistoryEvent(_history.Now, Kinds.RevokeDone) { Id = fault.Id, Sockets = [socket], Reason = how, Good = everywhere });
        return true;
    }

    /// <param name="Node">Whom it is done to; null: the store, or nobody.</param>
    /// <param name="Touches">Nodes and links whose sessions it may end.</param>
    /// <param name="ServesMeanwhile">New sessions must start while it lasts.</param>
    private sealed record FaultAction(string? Node, IReadOnlyList<string> Touches, Func<Task> Begin, Func<Task> Mend, bool ServesMeanwhile = false);
}
