using Relay.Silo.Fencing;

namespace Relay.Tests.Silo.Fencing.Model;

/// <summary>
/// One run of the protocol of PROTOCOL.md, section 5, for one connector: silos, agents and store exchange messages that are slow, late or
/// lost; clocks drift; everything crashes, freezes, is cut off and comes back, as the seed has it. After each stream that an agent
/// accepts it is checked that the connector is that agent's, under that very epoch, and nobody else's.
/// </summary>
internal sealed class LeaseModel
{
    private readonly PriorityQueue<Action, (long At, long Order)> _events = new();
    private readonly HashSet<(ModelNode From, ModelNode? To)> _cuts = [];
    private readonly Dictionary<(ModelNode, ModelNode), long> _cutSince = [];
    private readonly SortedDictionary<string, int> _counts = new(StringComparer.Ordinal);
    private readonly List<ModelAgent> _agents = [];
    private readonly ModelStore _store = new();
    private long _order;
    private long _highestEpoch;
    private long _lastAccepted = -1;
    private bool _storeDown;

    public LeaseModel(ulong seed, Guard off = Guard.None)
    {
        (Seed, Off, Random) = (seed, off, new SeededRandom(seed));
        if (off == Guard.FencePeriod) Times = Times with { FencePeriod = TimeSpan.Zero };
        Silos = [.. Enumerable.Range(0, Random.Pick<int>([1, 2, 3, 3, 3, 4, 5, 5])).Select(i => new ModelSilo(this, i))];
    }

    public ulong Seed { get; }

    public Guard Off { get; }

    public SeededRandom Random { get; }

    public FenceTimes Times { get; } = FenceTimes.Default;

    // Shorter than the product's, so that a short run sees leases lapse; in the same proportion to drift.
    public TimeSpan HardTtl { get; } = TimeSpan.FromSeconds(30);

    public TimeSpan Margin { get; } = TimeSpan.FromSeconds(2);

    public long Now { get; private set; }

    public IReadOnlyList<ModelSilo> Silos { get; }

    /// <summary>The first violation; null: none.</summary>
    public string? Violation { get; private set; }

    public IReadOnlyDictionary<string, int> Counts => _counts;

    public int Steps { get; private set; }

    /// <summary>What happened, when somebody wants to read it.</summary>
    public System.Text.StringBuilder? Trace { get; init; }

    public void Log(string what) => Trace?.Append(Now).Append(" ms ").AppendLine(what);

    public void Count(string what) => _counts[what] = _counts.GetValueOrDefault(what) + 1;

    /// <summary>Disturbs for a while, heals, and sees that the connector is served again.</summary>
    public void Run()
    {
        foreach (var silo in Silos) silo.Boot();
        var agents = Random.Between(2, 3);
        At(Random.Next(3000), () => _agents.Add(new ModelAgent(this, "agent 0") { Moves = Random.Chance(40) }));
        for (var i = 1; i < agents; i++)
        {
            var name = $"agent {i}";
            At(Random.Between(2000, 30_000), () => _agents.Add(new ModelAgent(this, name) { Moves = Random.Chance(20) }));
        }

        var disturbances = Random.Between(1, 12);
        for (var i = 0; i < disturbances; i++) At(Random.Between(4000, 60_000), Disturb);
        for (long at = 500; at < 120_000; at += 250) At(at, OpenSomewhere);
        At(70_000, Heal);
        Play(100_000);
        // Nobody waits longer than the hard TTL, its own patience included.
        var before = _lastAccepted;
        Play(120_000);
        if (Violation is null && Off == Guard.None && _lastAccepted <= before) Violation = $"nobody is served {Now - 70_000} ms after everything was healed";
    }

    public void At(long at, Action step) => _events.Enqueue(step, (at, _order++));

    public bool IsCut(ModelNode one, ModelNode other) => _cuts.Contains((one, other)) || _cuts.Contains((other, one));

    public bool IsCutFor(ModelNode one, ModelNode other, long ms) =>
        IsCut(one, other) && _cutSince.TryGetValue((one, other), out var since) && Now - since > ms;

    /// <summary>A message between processes: lost when the way is cut or the process is gone.</summary>
    public void Send(ModelNode from, ModelNode to, Action deliver)
    {
        var life = to.Life;
        At(Now + Delay(), () =>
        {
            if (from == to || !_cuts.Contains((from, to))) to.Run(life, deliver);
        });
    }

    /// <summary>On a connection: what is sent is repeated until it arrives or an end is gone; the sender's process may be gone by then.</summary>
    public void SendOver(ModelTunnel tunnel, bool toAgent, Action deliver)
    {
        var (from, to) = toAgent ? ((ModelNode)tunnel.Silo, (ModelNode)tunnel.Agent) : (tunnel.Agent, tunnel.Silo);
        var life = toAgent ? tunnel.Life : to.Life;
        var tries = 0;
        void Arrive()
        {
            if (_cuts.Contains((from, to)))
            {
                if (++tries < 60) At(Now + 500, Arrive);
                return;
            }

            to.Run(life, deliver);
        }

        At(Now + Delay(), Arrive);
    }

    public void SendOpen(ModelTunnel tunnel, long until, Action<bool> answered) =>
        SendOver(tunnel, toAgent: true, () => tunnel.Agent.OnOpen(tunnel, until, accepted => SendOver(tunnel, toAgent: false, () => answered(accepted))));

    /// <summary>One statement: no answer when the store cannot be reached, and then it may have been executed all the same, and late.</summary>
    public void Ask<T>(ModelSilo silo, Func<ModelStore, T> statement, Action<T> then)
    {
        if (_storeDown || _cuts.Contains((silo, null))) return;
        var life = silo.Life;
        var late = Random.Chance(97) ? Delay() : Random.Next(4000);
        At(Now + late, () =>
        {
            if (_storeDown) return;
            _store.ClockMs = Now + _clockJump;
            var before = _store.Row;
            var result = statement(_store);
            if (Trace is not null && before != _store.Row && (before?.Epoch, before?.Released) != (_store.Row?.Epoch, _store.Row?.Released)) Log($"store, for {silo.Name}: epoch {_store.Row!.Epoch} {_store.Row.Silo.Address} of {_store.Row.Instance.ToString()[..4]}{(_store.Row.Released ? " released" : "")}");
            Check();
            At(Now + Delay(), () =>
            {
                if (!_cuts.Contains((silo, null))) silo.Run(life, () => then(result));
            });
        });
    }

    private long _clockJump;

    /// <summary>What the host's membership does when a silo starts.</summary>
    public bool Join(Voter self)
    {
        foreach (var former in _store.Members.Keys.Where(m => m.Address == self.Address && m.Incarnation != self.Incarnation).ToArray()) _store.Members[former] = true;
        _store.Members.TryAdd(self, false);
        _store.Fences.TryAdd(self.Incarnation, new ModelStore.FenceRow([], [], 0, false));
        return true;
    }

    /// <summary>An agent has accepted a stream: what all this is about.</summary>
    public void Accepted(ModelAgent agent, ModelTunnel tunnel)
    {
        Count("streams accepted");
        Log($"{agent.Name} ({agent.Instance.ToString()[..4]}) accepts a stream of {tunnel.Silo.Name} under {tunnel.Epoch}");
        _lastAccepted = Now;
        var row = _store.Row!;
        if (row.Instance != agent.Instance || row.Released && row.Epoch != tunnel.Epoch)
            Violation ??= $"at {Now} ms {agent.Name} accepts a stream under epoch {tunnel.Epoch} from {tunnel.Silo.Name}; the connector is another instance's, epoch {row.Epoch}";
        else if (row.Epoch != tunnel.Epoch)
            Violation ??= $"at {Now} ms {agent.Name} accepts a stream under the old epoch {tunnel.Epoch} from {tunnel.Silo.Name}; it is at {row.Epoch}";
    }

    private int Delay() => Random.Chance(95) ? Random.Between(1, 20) : Random.Next(1500);

    private void Check()
    {
        if (_store.Row is not { } row) return;
        if (row.Epoch < _highestEpoch) Violation ??= $"at {Now} ms the epoch went from {_highestEpoch} to {row.Epoch}";
        _highestEpoch = row.Epoch;
    }

    private void Play(long until)
    {
        while (Violation is null && _events.TryPeek(out _, out var next) && next.At <= until)
        {
            var step = _events.Dequeue();
            Now = next.At;
            Steps++;
            step();
        }

        Now = until;
    }

    private void OpenSomewhere()
    {
        // A gateway's silo knows the lease from the table, from before, or believes its own tunnel.
        var epoch = _store.Row?.Epoch ?? 0;
        foreach (var silo in Silos)
        {
            var asked = epoch - (Random.Chance(80) ? 0 : Random.Next(3));
            silo.Run(silo.Life, () => silo.Open(asked));
        }
    }

    private void Disturb()
    {
        var former = Trace is null ? null : new Dictionary<string, int>(_counts);
        DisturbOnce();
        if (former is not null) Log("!! " + string.Join(", ", _counts.Where(c => former.GetValueOrDefault(c.Key) != c.Value).Select(c => c.Key)));
    }

    private void DisturbOnce()
    {
        var silo = Random.Pick(Silos);
        // Most of what goes wrong goes wrong where the connector is.
        if (Random.Chance(60) && _store.Row is { } row && Silos.FirstOrDefault(s => s.Address == row.Silo.Address) is { } holder) silo = holder;
        var lasts = Random.Chance(20) ? Random.Between(20_000, 50_000) : Random.Chance(50) ? Random.Between(1000, 20_000) : Random.Between(100, 4000);
        switch (Random.Next(16))
        {
            case 0 or 1:
                Count("freezes");
                silo.Freeze();
                Log($"!! {silo.Name} freezes for {lasts} ms");
                At(Now + lasts, silo.Thaw);
                SuspectSoon(silo);
                break;
            case 2:
                Count("kills");
                Log($"!! {silo.Name} is killed");
                silo.Kill();
                At(Now + lasts, silo.Boot);
                SuspectSoon(silo);
                break;
            case 3:
                Count("false deaths");
                Declare(silo);
                break;
            case 4 or 5 or 6:
                Count("silos cut off");
                var (alsoStore, oneWay, alsoAgents) = (Random.Chance(70), Random.Chance(20), Random.Chance(30));
                foreach (var other in Silos.Where(o => o != silo && Random.Chance(85))) Cut(silo, other, lasts, oneWay);
                if (alsoStore) CutStore(silo, lasts);
                if (alsoAgents) foreach (var agent in _agents) Cut(silo, agent, lasts, oneWay);
                SuspectSoon(silo);
                break;
            case 7:
                Count("halves");
                var half = Silos.Where(_ => Random.Chance(50)).ToHashSet();
                foreach (var one in half) foreach (var other in Silos.Where(s => !half.Contains(s))) Cut(one, other, lasts, oneWay: false);
                var without = Random.Chance(50);
                foreach (var one in Silos.Where(s => half.Contains(s) == without)) CutStore(one, lasts);
                foreach (var one in half) SuspectSoon(one);
                break;
            case 8:
                Count("store links cut");
                CutStore(silo, lasts);
                break;
            case 9:
                Count("store outages");
                _storeDown = true;
                At(Now + lasts, () => _storeDown = false);
                break;
            case 10:
                Count("jumps of the database's clock");
                _clockJump += Random.Between(-60_000, 60_000);
                break;
            case 11 when _agents.Count > 0:
                Count("agents' links cut");
                Cut(Random.Pick(_agents), silo, lasts, Random.Chance(30));
                break;
            case 12 when _agents.Count > 0:
                Count("agents frozen");
                var frozen = Random.Pick(_agents);
                frozen.Freeze();
                At(Now + lasts, frozen.Thaw);
                break;
            case 13 when _agents.Count > 0:
                Count("agents restarted");
                Random.Pick(_agents).Restart();
                break;
            default:
                Count("freezes just before a cut");
                silo.Freeze();
                At(Now + lasts, silo.Thaw);
                foreach (var other in Silos.Where(o => o != silo)) Cut(silo, other, lasts + Random.Next(10_000), oneWay: false);
                SuspectSoon(silo);
                break;
        }
    }

    // Detection is not part of the protocol: it may be quick, slow, wrong or never.
    private void SuspectSoon(ModelSilo silo)
    {
        var suspect = silo.Alive ? silo.Self : default;
        if (!silo.Alive || Random.Chance(20)) return;
        At(Now + Random.Between(300, 6000), () =>
        {
            if (_storeDown || !Silos.Any(s => s != silo && s.Alive && !s.Frozen && !_cuts.Contains((s, null)))) return;
            if (!_store.Members.ContainsKey(suspect)) return;
            _store.Members[suspect] = true;
            Log($"{silo.Name} is declared dead");
        });
    }

    private void Declare(ModelSilo silo)
    {
        if (silo.Alive && Silos.Count > 1 && _store.Members.ContainsKey(silo.Self)) _store.Members[silo.Self] = true;
    }

    private void Cut(ModelNode one, ModelNode other, long lasts, bool oneWay)
    {
        Log($"!! cut {one.Name} - {other.Name} for {lasts} ms{(oneWay ? ", one way" : "")}");
        _cuts.Add((one, other));
        if (!oneWay) _cuts.Add((other, one));
        _cutSince[(one, other)] = _cutSince[(other, one)] = Now;
        At(Now + lasts, () =>
        {
            _cuts.Remove((one, other));
            _cuts.Remove((other, one));
        });
    }

    private void CutStore(ModelSilo silo, long lasts)
    {
        Log($"!! cut {silo.Name} - store for {lasts} ms");
        _cuts.Add((silo, null));
        At(Now + lasts, () => _cuts.Remove((silo, null)));
    }

    private void Heal()
    {
        _cuts.Clear();
        _storeDown = false;
        foreach (var silo in Silos)
        {
            silo.Thaw();
            silo.Boot();
        }

        foreach (var agent in _agents) agent.Thaw();
    }
}
