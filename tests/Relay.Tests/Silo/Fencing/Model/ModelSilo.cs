using Relay.Protocol.Grid;
using Relay.Silo.Connectors;
using Relay.Silo.Fencing;

namespace Relay.Tests.Silo.Fencing.Model;

/// <summary>One silo's machine; of its processes one at a time. The steps are those of FenceKeeper, TunnelKeeper and ConnectorAttacher, the decisions are theirs.</summary>
internal sealed class ModelSilo(LeaseModel model, int index) : ModelNode(model, $"silo {index}")
{
    private const int AskDeadlineMs = 2000;
    private const int ProbeDeadlineMs = 3000;

    private readonly LeaseModel _model = model;
    private SiloFence _fence = null!;
    private LeaseWatch _watch = null!;
    private readonly List<ModelTunnel> _made = [];
    private ModelTunnel? _tunnel;
    private TimeSpan _startedAt;
    private Voter[] _serving = [];
    private Voter[] _dead = [];
    private TimeSpan _doubtUntil;
    private TimeSpan? _storeSince;
    private long _highest;
    private long _seq;
    private int _ticks;
    private bool _joined;

    public string Address { get; } = $"s{index}:1";

    public Voter Self => _fence.Self;

    public void Boot()
    {
        if (Alive) return;
        Start();
        _fence = new SiloFence(_model.Times, new Voter(Address, _model.Random.Guid()));
        _watch = new LeaseWatch(_model.HardTtl);
        (_tunnel, _serving, _dead, _doubtUntil, _storeSince, _highest, _seq, _joined) = (null, [], [], TimeSpan.MinValue, null, 0, 0, false);
        _startedAt = Now;
        After(_model.Random.Next(500), Tick);
    }

    public new void Kill()
    {
        // The machine closes its connections; what was sent before still arrives.
        foreach (var tunnel in _made.Where(t => !t.AgentEnd)) _model.SendOver(tunnel, toAgent: true, tunnel.EndByAgent);
        _made.Clear();
        _tunnel = null;
        base.Kill();
    }

    /// <summary>A user's stream to the connector, for an epoch that somebody believes in.</summary>
    public void Open(long epoch)
    {
        if (_tunnel is not { } tunnel || epoch < _highest || tunnel.Epoch < _highest) return;
        var until = Min(_fence.ServesUntil(Now), LeaseEnd(tunnel));
        if (_model.Off == Guard.Hold) until = LeaseEnd(tunnel);
        if (Now > until) return;
        tunnel.Unanswered++;
        tunnel.DoubtUntil = Max(tunnel.DoubtUntil, until);
        var limit = tunnel.Clock.At(until);
        // Here a process may be frozen between looking at the clock and sending.
        After(_model.Random.Chance(90) ? 0 : _model.Random.Next(50), () => _model.SendOpen(tunnel, limit, accepted =>
        {
            if (--tunnel.Unanswered == 0) tunnel.DoubtUntil = TimeSpan.MinValue;
        }));
    }

    public PeerHeartbeatAnswer OnHeartbeat(PeerHeartbeat beat) =>
        _fence.OnHeartbeat(beat, ReachesStore, Now);

    public void OnAttach(ModelAgent agent, int life, Guid instance, long attempt, long highest, long clockMs, Func<ModelTunnel?, bool> answer)
    {
        var clock = new AgentClock(clockMs, Now);
        void Refuse() => _model.Send(this, agent, () => answer(null));
        if (!_fence.MayServe(Now) && _model.Off != Guard.Hold)
        {
            Refuse();
            return;
        }

        Try(null, 0);

        void Try(long? overtakes, int tries)
        {
            var askedAt = Now;
            _model.Ask(this, store => store.Attach(instance, attempt, highest, Self, (long)_model.HardTtl.TotalMilliseconds, overtakes, _model.Off), outcome =>
            {
                if (outcome.Won is { } won)
                {
                    // A write of what people see lies between.
                    After(_model.Random.Chance(80) ? _model.Random.Next(10) : _model.Random.Next(3000), () => Accept(won.Epoch, askedAt));
                    return;
                }

                var holder = outcome.Holder!;
                if (holder.Instance == instance || tries >= 3)
                {
                    Refuse();
                    return;
                }

                var lapsed = _watch.HasLapsed(AsLease(holder), askedAt, Now);
                Probe(holder, state =>
                {
                    var fenced = MayTakeOver(holder.Silo.Incarnation);
                    var verdict = Takeover.Decide(state, fenced, ReachesStore && _fence.HearsMajority(Now), lapsed);
                    _model.Log($"{Name}: {agent.Name} wants epoch {holder.Epoch} of {holder.Silo.Address}: {state}, fenced {fenced}, lapsed {lapsed}: {verdict}");
                    if (verdict != TakeoverVerdict.Admit)
                    {
                        Refuse();
                        return;
                    }

                    _model.Count(state == HolderState.Dead ? "takeover: the holder's silo gave it up" : fenced ? "takeover: fenced" : "takeover: lapsed");
                    Try(holder.Epoch, tries + 1);
                });
            });
        }

        void Accept(long epoch, TimeSpan renewedAt)
        {
            if (epoch >= _highest && _tunnel is { } old) Close(old);
            if (epoch < _highest)
            {
                _model.Ask(this, store => store.Release(epoch), _ => { });
                return;
            }

            _highest = epoch;
            var tunnel = new ModelTunnel(this, agent, life, epoch, renewedAt, clock);
            _model.Send(this, agent, () =>
            {
                // The connection is of that process of the agent; when it is gone, or has given up, nobody is there to be told.
                if (agent.Life != life || !answer(tunnel)) _model.Send(agent, this, () => End(tunnel));
            });
            _tunnel = tunnel;
            _made.Add(tunnel);
        }
    }

    /// <summary>Another silo, or this one, wants to know whether the agent of an epoch lives. The answer is a promise, or nothing at all.</summary>
    public void OnProbe(Voter holder, long epoch, Action<HolderState> answer)
    {
        if (_tunnel is not { } tunnel || tunnel.Epoch < epoch || tunnel.Epoch < _highest)
        {
            Promise();
            return;
        }

        var answered = false;
        _model.SendOver(tunnel, toAgent: true, () => tunnel.Agent.OnPing(tunnel, clock => _model.SendOver(tunnel, toAgent: false, () =>
        {
            if (answered) return;
            answered = true;
            tunnel.Clock = new AgentClock(clock, Now);
            answer(HolderState.Alive);
        })));
        After(ProbeDeadlineMs, () =>
        {
            if (answered) return;
            answered = true;
            Promise();
        });

        void Promise()
        {
            if (_model.Off != Guard.Promise) _highest = Math.Max(_highest, epoch + 1);
            if (_tunnel is { } old && old.Epoch <= epoch) Close(old);
            var doubt = Now <= _doubtUntil || (holder != Self && Now <= _startedAt + _model.Times.HoldFor);
            answer(_model.Off != Guard.Doubt && doubt ? HolderState.Unknown : HolderState.Dead);
        }
    }

    /// <summary>Done here for a silo that does not reach the store.</summary>
    public void OnRenewal(Guid holder, long? epoch, Action<bool, bool> answer) => _model.Ask(
        this,
        store => (Held: _model.Off == Guard.Fence || store.IsHeld(holder), Renewed: epoch is { } mine && store.Renew(holder, mine, (long)_model.HardTtl.TotalMilliseconds)),
        result => answer(result.Held, result.Renewed));

    private bool ReachesStore => _storeSince is { } at && Now - at < TimeSpan.FromSeconds(3);

    private TimeSpan LeaseEnd(ModelTunnel tunnel) => tunnel.RenewedAt + _model.HardTtl - _model.Margin;

    private void Tick()
    {
        if (_fence.IsFenced && _model.Off != Guard.Fence)
        {
            _model.Log($"{Name} is fenced and ends");
            _model.Count("fenced silos that ended");
            Kill();
            _model.At(_model.Now + _model.Random.Between(500, 5000), Boot);
            return;
        }

        _ticks++;
        if (_tunnel is { } tunnel && ((!_fence.MayServe(Now) && _model.Off != Guard.Hold) || Now >= LeaseEnd(tunnel)))
        {
            _model.Log($"{Name} closes epoch {tunnel.Epoch}");
            _model.Count(Now >= LeaseEnd(tunnel) ? "tunnels closed: hard TTL" : "tunnels closed: cut off");
            Close(tunnel);
        }
        else if (_tunnel is { } other && (other.AgentEnd && !_model.IsCut(other.Agent, this) || _model.IsCutFor(this, other.Agent, 20_000)))
        {
            End(other);
        }

        Beat();
        AskStore();
        if (_ticks % 5 == 0) Renew();
        After(_model.Random.Between(900, 1100), Tick);
    }

    private void Beat()
    {
        foreach (var peer in _fence.Voters.Concat(_serving).Where(v => v.Address != Address).GroupBy(v => v.Address).Select(g => g.Last()))
        {
            var (sentAt, answered) = (Now, false);
            var silo = _model.Silos.First(s => s.Address == peer.Address);
            var beat = _fence.Beat(peer.Incarnation, ReachesStore);
            _model.Send(this, silo, () =>
            {
                var answer = silo.OnHeartbeat(beat);
                _model.Send(silo, this, () =>
                {
                    if (answered || Now - sentAt > TimeSpan.FromMilliseconds(AskDeadlineMs)) return;
                    answered = true;
                    _fence.OnAnswer(peer, answer, sentAt, Now);
                });
            });
        }
    }

    private void AskStore()
    {
        var askedAt = Now;
        if (!_joined)
        {
            _model.Ask(this, store => _model.Join(Self), _ => _joined = true);
            return;
        }

        _model.Ask(this, store => (
            Held: store.IsHeld(Self.Incarnation), Fences: store.Fences.Where(f => f.Value.Fenced).ToArray(),
            Serving: store.Members.Where(m => !m.Value).Select(m => m.Key).ToArray(), Dead: store.Members.Where(m => m.Value).Select(m => m.Key).ToArray(), store.Row), seen =>
        {
            _storeSince = Max(_storeSince ?? TimeSpan.MinValue, askedAt);
            (_serving, _dead) = (seen.Serving, seen.Dead);
            foreach (var (incarnation, row) in seen.Fences) Learn(incarnation, row);
            if (seen.Held || _model.Off == Guard.Fence) _fence.OnHeld(askedAt);
            else _fence.OnFenced(Self.Incarnation, [], Now);
            if (seen.Row is { Released: false } row2) _watch.HasLapsed(AsLease(row2), askedAt, Now);
            foreach (var dead in _dead.Where(d => !_fence.Knows(d.Incarnation) && d != Self))
                _model.Ask(this, store => store.Fence(dead), row => Learn(dead.Incarnation, row));
            Adopt();
        });
        if (!ReachesStore) RenewThroughPeer(null);
    }

    private void Learn(Guid incarnation, ModelStore.FenceRow row)
    {
        if (incarnation == Self.Incarnation && _model.Off == Guard.Fence) return;
        _fence.OnFenced(incarnation, [row.Voters, row.Former], Now);
    }

    private void Adopt()
    {
        var current = _fence.Voters.ToArray();
        var next = _serving;
        if (!next.Contains(Self) || next.Length == 0 || next.ToHashSet().SetEquals(current)) return;
        var seq = ++_seq;
        _model.Ask(this, store => store.Adopt(Self.Incarnation, seq, next, current), taken =>
        {
            if (taken) _fence.Adopt(next);
        });
    }

    private void Renew()
    {
        if (_tunnel is not { } tunnel) return;
        if (!ReachesStore)
        {
            RenewThroughPeer(tunnel);
            return;
        }

        var askedAt = Now;
        _model.Ask(this, store => store.Renew(Self.Incarnation, tunnel.Epoch, (long)_model.HardTtl.TotalMilliseconds), renewed => Renewed(tunnel, renewed, askedAt));
    }

    private void RenewThroughPeer(ModelTunnel? tunnel)
    {
        var with = _fence.PeersWithStore(Now);
        if (with.Count == 0) return;
        var chosen = _model.Random.Pick(with);
        var peer = _model.Silos.First(s => s.Address == chosen.Address);
        var askedAt = Now;
        _model.Send(this, peer, () => peer.OnRenewal(Self.Incarnation, tunnel?.Epoch, (held, renewed) => _model.Send(peer, this, () =>
        {
            _model.Count("asked through a peer");
            if (held) _fence.OnHeld(askedAt);
            else _fence.OnFenced(Self.Incarnation, [], Now);
            if (held && tunnel is not null) Renewed(tunnel, renewed, askedAt);
        })));
    }

    private void Renewed(ModelTunnel tunnel, bool renewed, TimeSpan askedAt)
    {
        if (renewed) tunnel.RenewedAt = Max(tunnel.RenewedAt, askedAt);
        else if (_tunnel == tunnel) Close(tunnel);
    }

    private void Probe(ModelStore.Lease holder, Action<HolderState> then)
    {
        var over = false;
        void Once(HolderState state)
        {
            if (over) return;
            over = true;
            then(state);
        }

        var silo = _model.Silos.First(s => s.Address == holder.Silo.Address);
        if (silo == this) OnProbe(holder.Silo, holder.Epoch, Once);
        else _model.Send(this, silo, () => silo.OnProbe(holder.Silo, holder.Epoch, state => _model.Send(silo, this, () => Once(state))));
        After(2 * ProbeDeadlineMs, () => Once(HolderState.Unknown));
    }

    private bool MayTakeOver(Guid incarnation) => _model.Off switch
    {
        Guard.Witnesses => _fence.Knows(incarnation),
        _ => _fence.MayTakeOver(incarnation, Now),
    };

    /// <summary>Takes the tunnel down; whatever was sent may still arrive.</summary>
    private void Close(ModelTunnel tunnel)
    {
        if (_tunnel == tunnel) _tunnel = null;
        if (tunnel.Unanswered > 0) _doubtUntil = Max(_doubtUntil, tunnel.DoubtUntil);
        _model.SendOver(tunnel, toAgent: true, tunnel.EndByAgent);
    }

    /// <summary>The connection is over: the lease is given up, when nothing that was opened can arrive any more.</summary>
    private void End(ModelTunnel tunnel)
    {
        Close(tunnel);
        var wait = _model.Off != Guard.Doubt && tunnel.Unanswered > 0 ? Max(TimeSpan.Zero, tunnel.DoubtUntil - Now) + TimeSpan.FromMilliseconds(1) : TimeSpan.Zero;
        After((int)(wait.TotalMilliseconds * 1.01) + 1, () => _model.Ask(this, store => store.Release(tunnel.Epoch), _ => { }));
    }

    private static ConnectorLease AsLease(ModelStore.Lease row) => new(
        Guid.Empty, row.Epoch, row.Silo.Address, row.Silo.Incarnation, row.Instance, "", default, true, row.Renewals.ToString(System.Globalization.CultureInfo.InvariantCulture));

    private static TimeSpan Min(TimeSpan one, TimeSpan other) => one < other ? one : other;

    private static TimeSpan Max(TimeSpan one, TimeSpan other) => one > other ? one : other;
}
